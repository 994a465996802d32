// A class whose devices show which files ran: a virtual node, its real TPM and a running
// sallyportd, over the stream that renews.
#include <condition_variable>

#include "device-client/tpm/tls_key_provider.h"
#include "device-client/transport/device_link.h"
#include "pki/crypto/hash.h"
#include "pki/x509/pem.h"
#include "tests/integration/proving_node.h"

namespace sallyport::testing_server {
namespace {

// Pushes are what the server says on the stream.
class Pushes final : public device::LinkHandler {
 public:
  struct Told {
    std::vector<std::pair<device::Challenge, Sha256Digest>> challenges;
    std::vector<device::IssuedCertificate> certificates;
    std::optional<device::CallFailure> refusal;
    bool closed = false;
  };
  void OnTime(const device::SignedTime&) override {}
  void OnChallenge(const device::Challenge& challenge, const Sha256Digest& leaf) override {
    Change([&](Told& told) { told.challenges.emplace_back(challenge, leaf); });
  }
  void OnCertificate(const device::IssuedCertificate& certificate) override {
    Change([&](Told& told) { told.certificates.push_back(certificate); });
  }
  void OnRefusal(const device::CallFailure& refusal) override {
    Change([&](Told& told) { told.refusal = refusal; });
  }
  void OnRevocations(const std::vector<device::PeerRevocation>&) override {}
  void OnManifestAvailable(uint64_t) override {}
  void OnClosed(bool, const device::CallFailure&) override {
    Change([](Told& told) { told.closed = true; });
  }
  template <typename Condition>
  Told WaitFor(Condition condition) {
    std::unique_lock lock(told_mutex_);
    EXPECT_TRUE(
        changed_.wait_for(lock, std::chrono::seconds(30), [&] { return condition(told_); }));
    return told_;
  }

 private:
  template <typename Body>
  void Change(Body body) {
    const std::lock_guard lock(told_mutex_);
    body(told_);
    changed_.notify_all();
  }
  std::mutex told_mutex_;  // guards told_
  std::condition_variable changed_;
  Told told_;
};

std::string Allow(std::initializer_list<std::string_view> contents) {
  std::vector<JsonValue> files;
  for (const std::string_view content : contents)
    files.push_back(JsonValue("sha256:" + HexEncode(pki::Sha256(AsBytes(content)))));
  return WriteJson(JsonValue::Object({{"allow", JsonValue::Array(std::move(files))}}));
}

class ImaNodeTest : public ProvingNode {
 protected:
  // Renewals fall due after five seconds.
  ImaNodeTest()
      : ProvingNode({.evidence_lifetime = "10s", .class_lines = "    ima: true\n"},
                    Allow({"init", "shell"})) {
    SP_CHECK(device::InstallTlsKeyProvider().has_value());
    SP_CHECK(node_->RunFile("/sbin/init", "init").has_value());
  }
  ~ImaNodeTest() override { link_.reset(); }

  device::IssuedCertificate Enrol() {
    const device::BeginAnswer begun = Begin();
    EXPECT_EQ(begun.challenge.ima_first, 0u);
    const device::Evidence proof = Proof(begun, MakeToken("cam"));
    EXPECT_EQ(proof.ima->entries, List());
    const auto answer = client_->Prove(begun.challenge.ticket, proof);
    SP_CHECK(answer.has_value() && answer->certificate.has_value());
    return *answer->certificate;
  }
  void Connect(const device::IssuedCertificate& certificate) {
    const pki::PublicArea area = *pki::ParsePublicArea(key_->public_area);
    reference_ = *device::TlsKeyReference::Register(
        *area.ToPublicKey(), [this](const Sha256Digest& d) { return tpm_->Sign(key_->id, d); });
    std::string chain;
    for (const Bytes& der : certificate.chain) chain += pki::CertificatePem(der);
    link_.emplace(deployment_.address(ListenerName::kDevice), deployment_.Trust(),
                  device::ClientIdentity{reference_->pem(), chain},
                  device::LinkHello{"test", Bytes(16, 1)}, pushes_);
  }
  // Answer answers the challenge of that number and returns what it sent.
  device::Evidence Answer(size_t number) {
    const auto told =
        pushes_.WaitFor([&](const auto& t) { return t.challenges.size() > number || t.closed; });
    const auto& [challenge, leaf] = told.challenges.at(number);
    device::Evidence evidence = *attester_->Attest({.purpose = pki::Purpose::kRenew,
                                                    .challenge = challenge,
                                                    .server_leaf_hash = leaf,
                                                    .trust_domain = "edge.example",
                                                    .ak_public = ak_public_,
                                                    .tls_key = *key_,
                                                    .boot = {},
                                                    .epoch_held = 0,
                                                    .token = "",
                                                    .advertise = "",
                                                    .send_log = false});
    link_->SendRenewal(challenge.ticket, evidence);
    return evidence;
  }
  Bytes List() { return *ReadFile(files_, node_->ImaListPath(), kFileMax); }
  std::string Shown() { return *deployment_.Ask({"device", "list", "--json"}); }

  Pushes pushes_;
  std::shared_ptr<const device::TlsKeyReference> reference_;
  std::optional<device::DeviceLink> link_;
};

TEST_F(ImaNodeTest, OnlyNewEntriesTravelAndAnUnknownFileEndsTheDevicesAccess) {
  Connect(Enrol());
  const size_t before = List().size();
  ASSERT_TRUE(node_->RunFile("/bin/sh", "shell").has_value());

  const device::Evidence renewal = Answer(0);
  EXPECT_EQ(renewal.ima->first, 2u);
  EXPECT_EQ(renewal.ima->entries.size(), List().size() - before);
  EXPECT_LT(renewal.ima->entries.size(), 120u);
  pushes_.WaitFor([](const auto& told) { return told.certificates.size() == 1; });
  EXPECT_THAT(Shown(), ::testing::HasSubstr("\"posture\":\"passing\""));

  ASSERT_TRUE(node_->RunFile("/tmp/evil", "evil").has_value());
  const device::Evidence caught = Answer(1);
  EXPECT_EQ(caught.ima->first, 3u);
  pushes_.WaitFor([](const auto& told) { return told.refusal.has_value() || told.closed; });

  EXPECT_THAT(Shown(), ::testing::HasSubstr("\"state\":\"quarantined\""));
  EXPECT_THAT(*deployment_.Ask({"audit", "tail", "--limit", "1", "--json"}),
              ::testing::HasSubstr("ima.file"));
}

TEST_F(ImaNodeTest, AFileThatRanBeforeEnrolmentKeepsTheDeviceOut) {
  ASSERT_TRUE(node_->RunFile("/tmp/evil", "evil").has_value());
  const device::BeginAnswer begun = Begin();

  ExpectRefused(begun.challenge.ticket, Proof(begun, MakeToken("cam")));

  EXPECT_THAT(LastRefusal(), ::testing::HasSubstr("ima.file"));
}

}  // namespace
}  // namespace sallyport::testing_server
