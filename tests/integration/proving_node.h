// ProvingNode: a virtual node in front of a running sallyportd, with the parts of the agent that
// make proofs, for tests that change what lies between them.
#pragma once

#include <filesystem>

#include "attestation-server/api/tls.h"
#include "device-client/agent/attester.h"
#include "device-client/tpm/tpm.h"
#include "device-client/transport/enrol_client.h"
#include "pki/base/json.h"
#include "pki/ca/enrolment_file.h"
#include "tests/integration/deployment.h"
#include "tests/node/virtual_node.h"

namespace sallyport::testing_server {

inline constexpr uint64_t kFileMax = 1 << 20;
inline constexpr uint64_t kSlotBytes = 1 << 20;

// ReferenceOf accepts the PCR values that `replay` (of `sallyport evidence replay`) has; `ima` is
// the section of that name, or empty.
inline std::string ReferenceOf(const std::string& replay, const std::string& ima) {
  const JsonValue json = *ParseJson(replay);
  const auto banks = JsonCursor(json).Member("banks")->Member("sha256");
  std::vector<JsonMember> pcrs;
  for (const char* const pcr : {"0", "2", "4", "7", "11"})
    pcrs.push_back({pcr, JsonValue::Object({{"value", *banks->GetString(pcr)}})});
  std::vector<JsonMember> members{{"sallyport", "reference/v1"},
                                  {"class", "online"},
                                  {"bank", "sha256"},
                                  {"pcrs", JsonValue::Object(std::move(pcrs))}};
  if (!ima.empty()) members.push_back({"ima", *ParseJson(ima)});
  return WriteJson(JsonValue::Object(std::move(members)));
}

// A node that is switched on, and its TPM in the hands of the test.
class ProvingNode : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server::PrepareTls(); }

  ProvingNode() : ProvingNode(DeploymentOptions{}, "") {}
  ProvingNode(const DeploymentOptions& options, const std::string& ima,
              pki::EkTemplate ek = pki::EkTemplate::kL2P256)
      : ek_(ek), maker_(options.maker), deployment_(options) {
    MakeNode();
    tpm_ = *device::Tpm::Open(node_->tpm()->tcti(), random_);
    ak_public_ = *tpm_->EnsureAttestationKey();
    attester_.emplace(*tpm_, files_, node_->EventLogPath(), node_->ImaListPath());
    client_.emplace(deployment_.address(ListenerName::kEnrol), deployment_.Trust());
    ImportReference(ima);
  }
  ~ProvingNode() override {
    client_.reset();
    attester_.reset();
    tpm_.reset();
  }

  std::string At(const std::string& name) const { return deployment_.dir() + "/" + name; }
  void MakeNode() {
    SP_CHECK(WriteFileAtomically(files_, At("1.img"), Bytes(200'000, 'r')).has_value());
    const std::string command = std::string(SALLYPORT_SOURCE_DIR) +
                                "/tests/node/make_uki.sh --version 1.0.0 --image " + At("1.img") +
                                " --out " + At("1.efi");
    SP_CHECK(std::system(command.c_str()) == 0);
    const node::NodeSpec spec{.name = "cam-1",
                              .slot_bytes = kSlotBytes,
                              .vendor_dir = deployment_.VendorDir(),
                              .uki = At("1.efi"),
                              .image = At("1.img"),
                              .release = "",
                              .watchdog = Seconds(1)};
    const auto made = node::VirtualNode::Create(At("cam-1"), spec, clock_.Wall(), random_);
    SP_CHECK(made.has_value());
    if (pki::EkIsHighRange(ek_)) CertifyHighRange();
    if (maker_) CertifyIak();
    node_.emplace(*node::VirtualNode::Open(At("cam-1")));
    SP_CHECK(node_->PowerOn(random_)->outcome == node::BootOutcome::kRunning);
  }
  // CertifyHighRange is a manufacturer who certified another EK of this TPM as well.
  void CertifyHighRange() {
    auto swtpm = *node::SwTpm::Start(At("cam-1") + "/tpm");
    const auto area =
        *pki::ParsePublicArea(*(*device::Tpm::Open(swtpm.tcti(), random_))->EkPublic(ek_));
    const bool ecc = std::holds_alternative<pki::EccUnique>(area.unique);
    const auto vendor = *node::VendorCa::Load(files_, deployment_.VendorDir());
    const Bytes certificate = *vendor.IssueEk(ecc ? node::EkKind::kP256 : node::EkKind::kRsa2048,
                                              area.ToPublicKey()->spki(), clock_.Wall(), random_);
    auto maker = *node::EsysTpm::Connect(swtpm.tcti());
    SP_CHECK(maker.WriteCertificate(pki::EkCertificateIndex(ek_), certificate).has_value());
    SP_CHECK(maker.WriteCertificate(0x01C00100, vendor.intermediate()).has_value());
    swtpm.Stop();
  }
  // CertifyIak is the maker of the machine, with a CA of its own.
  void CertifyIak() {
    auto swtpm = *node::SwTpm::Start(At("cam-1") + "/tpm");
    const auto maker = *node::VendorCa::Load(files_, deployment_.MakerDir());
    auto factory = *node::EsysTpm::Connect(swtpm.tcti());
    const Bytes spki = *factory.MakeIak(0x81020001);
    Bytes chain = *maker.IssueIak(spki, "SN-4711", clock_.Wall(), random_);
    Append(chain, maker.intermediate());
    SP_CHECK(factory.WriteCertificate(0x01C90010, chain).has_value());
    swtpm.Stop();
  }
  void ImportReference(const std::string& ima) {
    const std::string replay =
        *deployment_.Ask({"evidence", "replay", "--json", "--log", node_->EventLogPath()});
    SP_CHECK(WriteFileAtomically(files_, At("reference.json"), AsBytes(ReferenceOf(replay, ima)))
                 .has_value());
    SP_CHECK(deployment_.Ask({"reference", "import", At("reference.json"), "--class", "online"})
                 .has_value());
  }
  std::string MakeToken(const std::string& name) {
    const std::string out = At(name + ".json");
    SP_CHECK(deployment_
                 .Ask({"token", "create", "--out", out, "--token-name", name, "--site", "berlin",
                       "--auto-approve"})
                 .has_value());
    return pki::ParseEnrolmentFile(AsText(*ReadFile(files_, out, kFileMax)))->token;
  }

  device::BeginAnswer Begin() {
    const device::EkCertificates ek = *tpm_->ReadEkCertificates(ek_);
    std::vector<Bytes> chain{ek.leaf};
    chain.insert(chain.end(), ek.chain.begin(), ek.chain.end());
    return *client_->Begin(pki::Purpose::kEnrol, chain, *tpm_->EkPublic(ek_), ak_public_);
  }
  // Proof proves `begun`; `nonce` replaces the one that the server chose.
  device::Evidence Proof(const device::BeginAnswer& begun, const std::string& token,
                         const std::optional<Nonce>& nonce = std::nullopt) {
    device::Challenge challenge = begun.challenge;
    if (nonce) challenge.nonce = *nonce;
    const auto secret =
        *tpm_->ActivateCredential(ek_, begun.credential_blob, begun.encrypted_secret);
    if (key_) tpm_->FlushTlsKey(key_->id);
    key_ = *tpm_->MakeTlsKey(challenge.nonce.view());
    return *attester_->Attest({.purpose = pki::Purpose::kEnrol,
                               .challenge = challenge,
                               .server_leaf_hash = begun.server_leaf_hash,
                               .trust_domain = "edge.example",
                               .ak_public = ak_public_,
                               .tls_key = *key_,
                               .secret = &secret,
                               .boot = {},
                               .epoch_held = 0,
                               .token = token,
                               .advertise = ""});
  }
  void ExpectRefused(ByteView ticket, const device::Evidence& evidence) {
    const auto answer = client_->Prove(ticket, evidence);
    ASSERT_FALSE(answer.has_value());
    EXPECT_EQ(answer.error().reason, Reason::kPolicyDenied) << answer.error().ToString();
    EXPECT_FALSE(client_->failure().reference_id.empty());
  }
  // LastRefusal is what the operator finds in the audit.
  std::string LastRefusal() {
    return *deployment_.Ask({"audit", "tail", "--limit", "1", "--json"});
  }

  const pki::EkTemplate ek_;
  const bool maker_;
  Deployment deployment_;
  PosixFileSystem files_;
  SystemRandom random_;
  const RealClock clock_;
  std::optional<node::VirtualNode> node_;
  std::unique_ptr<device::Tpm> tpm_;
  Bytes ak_public_;
  std::optional<device::Attester> attester_;
  std::optional<device::EnrolClient> client_;
  std::optional<device::TlsKey> key_;
};

}  // namespace sallyport::testing_server
