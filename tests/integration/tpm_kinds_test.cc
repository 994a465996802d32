// Software TPMs with other banks and other attestation keys against the server's own code:
// enrolment, renewal, reboot; the audit of banks; the null name. And the C8.3 surgery on what such
// TPMs sign.
#include <cstdlib>

#include "attestation-server/enrolment/floor_history.h"
#include "attestation-server/reference/reference_file.h"
#include "attestation-server/service/wire.h"
#include "device-client/agent/attester.h"
#include "device-client/tpm/tpm.h"
#include "device-client/transport/wire.h"
#include "tests/node/virtual_node.h"
#include "tests/unit/attestation-server/enrolment/flow_fixture.h"

namespace sallyport::server {
namespace {

constexpr uint64_t kSlotBytes = 1 << 20;
constexpr std::string_view kAttributes =
    "'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign|noda'";

struct Kind {
  std::string name;
  std::string ak;  // of tpm2_createprimary; empty: the agent's own
  std::vector<node::PcrBankId> banks;
  pki::HashAlgorithm bank = pki::HashAlgorithm::kSha256;
};

const Kind kP256{"P256", "", {node::kSha256Bank}};
const Kind kRsa{"Rsa2048", "rsa2048:rsassa-sha256:null", {node::kSha1Bank, node::kSha256Bank}};
const Kind kPss{"Rsa3072Pss", "rsa3072:rsapss-sha384:null", {node::kSha256Bank}};
const Kind kP384{"P384",
                 "ecc384:ecdsa-sha384:null",
                 {node::kSha256Bank, node::kSha384Bank},
                 pki::HashAlgorithm::kSha384};
const Kind kSha384{
    "Sha384Bank", "", {node::kSha256Bank, node::kSha384Bank}, pki::HashAlgorithm::kSha384};

// The fixture is a virtual node of one kind that is switched on, its TPM in the hands of the
// agent's code, and the enrolment code of the server without a network between.
class TpmKind : public FlowTest {
 protected:
  void MakeNode(const Kind& kind) {
    kind_ = kind;
    const std::string image = directory_ + "/1.img";
    SP_CHECK(WriteFileAtomically(disk_, image, Bytes(100'000, 'r')).has_value());
    const std::string command = std::string(SALLYPORT_SOURCE_DIR) +
                                "/tests/node/make_uki.sh --version 1.0.0 --image " + image +
                                " --out " + directory_ + "/1.efi";
    SP_CHECK(std::system(command.c_str()) == 0);
    const node::VendorCa vendor = *node::VendorCa::Make(kStart, system_random_);
    SP_CHECK(vendor.Save(disk_, directory_ + "/made").has_value());
    const node::NodeSpec spec{.name = "cam-1",
                              .slot_bytes = kSlotBytes,
                              .vendor_dir = directory_ + "/made",
                              .uki = directory_ + "/1.efi",
                              .image = image,
                              .release = "",
                              .watchdog = Seconds(1),
                              .banks = kind.banks};
    SP_CHECK(node::VirtualNode::Create(NodeDir(), spec, kStart, system_random_).has_value());
    node_.emplace(*node::VirtualNode::Open(NodeDir()));
    PowerOn();
    StartServer(vendor);
    ImportPcrs();
  }
  // Short: a socket's path is.
  std::string NodeDir() const { return node_dir_.path; }

  void PowerOn() {
    tpm_.reset();
    SP_CHECK(node_->PowerOn(system_random_)->outcome == node::BootOutcome::kRunning);
    if (!kind_.ak.empty() && !ak_made_) MakeAk();
    Connect();
  }
  // Connect gives the TPM back to the agent's code.
  void Connect() {
    tpm_ = *device::Tpm::Open(node_->tpm()->tcti(), system_random_);
    ak_public_ = *tpm_->EnsureAttestationKey();
    attester_.emplace(
        *tpm_, disk_,
        device::EvidencePaths{node_->EventLogPath(), node_->ImaListPath(), NullNamePath()});
  }
  std::string NullNamePath() const { return directory_ + "/null_name"; }
  void MakeAk() {
    const std::string with = " -T " + node_->tpm()->tcti() + " > /dev/null 2>&1";
    const std::string context = directory_ + "/ak.ctx";
    const std::string make = "tpm2_createprimary -C e -g sha256 -G " + kind_.ak + " -a " +
                             std::string(kAttributes) + " -c " + context + with;
    SP_CHECK(std::system(make.c_str()) == 0);
    SP_CHECK(std::system(("tpm2_evictcontrol -C o -c " + context + " 0x81010A01" + with).c_str()) ==
             0);
    SP_CHECK(std::system(("tpm2_flushcontext -t" + with).c_str()) == 0);
    ak_made_ = true;
  }
  void StartServer(const node::VendorCa& vendor) {
    FlowConfig config{.trust_domain = pki::TrustDomain::Parse("edge.example").value(),
                      .development = true,
                      .incarnation = 1,
                      .classes = {{"online", {Hours(1), false}}},
                      .profiles = {},
                      .pcrs = {0, 2, 4, 7, 11, 12, 13},
                      .limits = limits_};
    tpm_terms_.bank = kind_.bank;
    const std::vector<Bytes> roots{vendor.root(), vendor.intermediate()};
    config.profiles.emplace(
        "default",
        Profile{pki::EkRoots::FromCertificates(roots).value(), false, {}, {}, tpm_terms_});
    flow_ = std::make_unique<EnrolmentFlow>(
        std::move(config), FlowParts{*database_, blobs_, random_, events_}, signer_);
  }
  // ImportPcrs accepts the PCR values of this boot.
  void ImportPcrs() {
    const Bytes log = *ReadFile(disk_, node_->EventLogPath(), kLogBytesMax);
    const ReplayedLog replayed = ReplayedLog::Make(log, kind_.bank).value();
    ReferenceFile file{
        "online", kind_.bank, {.label = "", .pcrs = {}, .secure_boot = std::nullopt}};
    for (const uint32_t pcr : {0u, 2u, 4u, 7u, 11u})
      file.expectation.pcrs.emplace(pcr, replayed.pcrs().value(pcr));
    ReferenceRow row;
    row.device_class = "online";
    row.json = WriteReferenceFile(file);
    row.id = pki::Sha256(AsBytes(row.json));
    row.state = ReferenceState::kActive;
    Must([&](Connection& c) { return References(c).Insert(row); });
  }

  // The wire is between: what the device reads is what the server wrote, and back.
  static device::Challenge OverTheWire(const IssuedChallenge& challenge) {
    api::Challenge wire;
    ToWire(challenge, &wire);
    return *device::FromWire(wire);
  }
  ProveInput Proof(pki::Purpose purpose, const IssuedChallenge& issued) {
    const device::Challenge challenge = OverTheWire(issued);
    std::optional<pki::SecretBytes> secret;
    if (purpose == pki::Purpose::kEnrol)
      secret = *tpm_->ActivateCredential(kEk, issued.credential_blob, issued.encrypted_secret);
    if (purpose != pki::Purpose::kRenew) {
      if (key_) tpm_->FlushTlsKey(key_->id);  // a software TPM has three slots
      key_ = *tpm_->MakeTlsKey(challenge.nonce.view());
    }
    const device::Evidence evidence =
        attester_
            ->Attest({.purpose = purpose,
                      .challenge = challenge,
                      .server_leaf_hash = leaf_,
                      .trust_domain = "edge.example",
                      .ak_public = ak_public_,
                      .tls_key = *key_,
                      .secret = secret ? &*secret : nullptr,
                      .boot = {},
                      .epoch_held = 0,
                      .token = purpose == pki::Purpose::kEnrol ? token_ : "",
                      .advertise = ""})
            .value();
    api::Evidence wire;
    device::ToWire(evidence, &wire);
    return *FromWire(ToString(issued.ticket), wire);
  }
  BeginInput BeginWithEk() {
    const device::EkCertificates ek = *tpm_->ReadEkCertificates(kEk);
    BeginInput begin{.protocol_version = pki::kProtocolVersion,
                     .purpose = pki::Purpose::kEnrol,
                     .ek_certificates = {ek.leaf},
                     .ek_public = *tpm_->EkPublic(kEk),
                     .ak_public = ak_public_};
    begin.ek_certificates.insert(begin.ek_certificates.end(), ek.chain.begin(), ek.chain.end());
    return begin;
  }
  // BeginRule is what a Begin with this TPM's EK and `ak_public_` is refused by.
  std::string BeginRule() {
    const Answer<IssuedChallenge> answer = flow_->Begin(channel_, BeginWithEk(), now_);
    const auto* const refusal = std::get_if<Refusal>(&answer);
    return refusal == nullptr ? "issued" : RuleOf(*refusal);
  }
  std::string Enrol() {
    const IssuedChallenge issued = Issued(flow_->Begin(channel_, BeginWithEk(), now_));
    id_ = issued.device_id;
    return RuleOf(flow_->Prove(channel_, Proof(pki::Purpose::kEnrol, issued), now_));
  }
  std::string Renew() {
    const IssuedChallenge issued = Issued(flow_->BeginRenewal(id_, now_));
    return RuleOf(flow_->Renew(id_, channel_, Proof(pki::Purpose::kRenew, issued), now_));
  }
  std::string Reattest() {
    const BeginInput begin{.protocol_version = pki::kProtocolVersion,
                           .purpose = pki::Purpose::kReattest,
                           .ek_certificates = {},
                           .ek_public = {},
                           .ak_public = ak_public_};
    const IssuedChallenge issued = Issued(flow_->Begin(channel_, begin, now_));
    return RuleOf(flow_->Prove(channel_, Proof(pki::Purpose::kReattest, issued), now_));
  }
  DeviceRecord Record() {
    auto snapshot = database_->Read();
    return *Devices(snapshot.value().connection()).Find(id_).value();
  }

  struct ShortDirectory {
    ShortDirectory() {
      char name[] = "/tmp/sp-kind-XXXXXX";
      path = ::mkdtemp(name);
    }
    ~ShortDirectory() { std::filesystem::remove_all(path); }
    std::string path;
  };

  static constexpr auto kEk = pki::EkTemplate::kL2P256;
  ShortDirectory node_dir_;
  Kind kind_;
  TpmTerms tpm_terms_;
  PosixFileSystem disk_;
  SystemRandom system_random_;
  std::optional<node::VirtualNode> node_;
  bool ak_made_ = false;
  std::unique_ptr<device::Tpm> tpm_;
  Bytes ak_public_;
  std::optional<device::Attester> attester_;
  std::optional<device::TlsKey> key_;
  std::string id_;
};

class TpmKinds : public TpmKind, public testing::WithParamInterface<Kind> {};

TEST_P(TpmKinds, EnrolRenewAndReboot) {
  MakeNode(GetParam());
  ASSERT_EQ(Enrol(), "admitted");
  EXPECT_EQ(Record().tpm.kind, sallyport::server::TpmKind::kVirtual);
  EXPECT_EQ(Renew(), "admitted");
  PowerOn();
  EXPECT_EQ(Reattest(), "admitted");
  EXPECT_EQ(Renew(), "admitted");
}

INSTANTIATE_TEST_SUITE_P(All, TpmKinds, testing::Values(kP256, kRsa, kPss, kP384, kSha384),
                         [](const auto& tested) { return tested.param.name; });

// Whoever extends one bank and not the other is found out by the bank's name.
TEST_F(TpmKind, ALegacyBankThatHoldsSomethingElseIsRefused) {
  MakeNode(kRsa);
  ASSERT_EQ(Enrol(), "admitted");
  auto firmware = *node::EsysTpm::Connect(node_->tpm()->tcti());
  const Bytes digest = node::HashForBank(node::kSha1Bank, {AsBytes("intruder")});
  ASSERT_TRUE(firmware.Extend(4, {{node::kSha1Bank, digest}}).has_value());

  EXPECT_EQ(Renew(), "admitted");  // of the policy's bank alone
  EXPECT_EQ(Reattest(), "bank.replay");
  EXPECT_EQ(Record().reason, "bank.replay");
}

// A bank that is on and that firmware forgot, as on the machines of CVE-2021-42299.
TEST_F(TpmKind, ABankThatGoesLiveWithoutALogIsRefused) {
  MakeNode(kP256);
  ASSERT_EQ(Enrol(), "admitted");
  tpm_.reset();
  node_->PowerOff();
  {
    auto swtpm = *node::SwTpm::Start(NodeDir() + "/tpm");
    auto maker = *node::EsysTpm::Connect(swtpm.tcti());
    ASSERT_TRUE(maker.SetBanks({node::kSha1Bank, node::kSha256Bank}).has_value());
    swtpm.Stop();
  }
  PowerOn();
  // The log of a firmware that does not know of the bank: the same without its SHA-1 digests.
  const Bytes log = *ReadFile(disk_, node_->EventLogPath(), kLogBytesMax);
  EventLogBuilder cut({Bank::kSha256});
  const EventLog events = ParseEventLog(log).value();
  for (const Event& event : events.events) {
    if (event.index == 0) continue;
    ByteWriter out;
    out.LittleU32(event.pcr).LittleU32(static_cast<uint32_t>(event.type)).LittleU32(1);
    out.LittleU16(0x000B).Raw(event.digest(Bank::kSha256));
    cut.Raw(out.LittleU32(static_cast<uint32_t>(event.data.size())).Raw(event.data).bytes());
  }
  ASSERT_TRUE(WriteFileAtomically(disk_, node_->EventLogPath(), cut.bytes()).has_value());

  EXPECT_EQ(Reattest(), "bank.log");
}

// Whoever owns the disk starts the approved image with a command line, or adds credentials: its
// stub measures them into PCR 12, and the log says so, or hides it.
TEST_F(TpmKind, WhatCameBesideTheApprovedImageIsRefused) {
  MakeNode(kP256);
  ASSERT_EQ(Enrol(), "admitted");
  const Bytes before = *ReadFile(disk_, node_->EventLogPath(), kLogBytesMax);
  const Bytes digest = node::HashForBank(node::kSha256Bank, {AsBytes("init=/bin/sh")});
  auto stub = *node::EsysTpm::Connect(node_->tpm()->tcti());
  ASSERT_TRUE(stub.Extend(12, {{node::kSha256Bank, digest}}).has_value());
  ByteWriter event;
  event.LittleU32(12).LittleU32(static_cast<uint32_t>(EventType::kIpl)).LittleU32(1);
  event.LittleU16(0x000B).Raw(digest).LittleU32(12).Raw(AsBytes("init=/bin/sh"));
  Bytes after = before;
  Append(after, event.bytes());
  ASSERT_TRUE(WriteFileAtomically(disk_, node_->EventLogPath(), after).has_value());

  EXPECT_EQ(Reattest(), "pcr.12");
  ASSERT_TRUE(WriteFileAtomically(disk_, node_->EventLogPath(), before).has_value());
  EXPECT_EQ(Reattest(), "log.replay");
}

// The log of the boot before, or its quote, beside that of another boot.
TEST_F(TpmKind, TheLogOfAnotherBootProvesNothing) {
  MakeNode(kP256);
  ASSERT_EQ(Enrol(), "admitted");
  const Bytes good = *ReadFile(disk_, node_->EventLogPath(), kLogBytesMax);
  const IssuedChallenge first = Issued(flow_->BeginRenewal(id_, now_));
  const ProveInput old = Proof(pki::Purpose::kRenew, first);
  const IssuedChallenge second = Issued(flow_->BeginRenewal(id_, now_));
  ProveInput mixed = Proof(pki::Purpose::kRenew, second);
  mixed.evidence.quotes = old.evidence.quotes;
  EXPECT_EQ(RuleOf(flow_->Renew(id_, channel_, mixed, now_)), "quote.extra-data");
  PowerOn();
  auto intruder = *node::EsysTpm::Connect(node_->tpm()->tcti());
  const Bytes digest = node::HashForBank(node::kSha256Bank, {AsBytes("intruder")});
  ASSERT_TRUE(intruder.Extend(4, {{node::kSha256Bank, digest}}).has_value());
  ASSERT_TRUE(WriteFileAtomically(disk_, node_->EventLogPath(), good).has_value());

  EXPECT_EQ(Reattest(), "log.replay");
}

// Keys that a real TPM makes and that must never be believed as its attestation key.
TEST_F(TpmKind, OtherKeysOfTheSameTpmAreNoAttestationKeys) {
  MakeNode(kP256);
  const auto rule_of = [this](const std::string& algorithm, const std::string& attributes) {
    const std::string file = directory_ + "/other.pub";
    const std::string with = " -T " + node_->tpm()->tcti() + " > /dev/null 2>&1";
    tpm_.reset();
    SP_CHECK(std::system(("tpm2_createprimary -C e -g sha256 -G " + algorithm + " -a '" +
                          attributes + "' -c " + directory_ + "/other.ctx" + with)
                             .c_str()) == 0);
    SP_CHECK(std::system(
                 ("tpm2_readpublic -c " + directory_ + "/other.ctx -o " + file + with).c_str()) ==
             0);
    SP_CHECK(std::system(("tpm2_flushcontext -t" + with).c_str()) == 0);
    tpm_ = *device::Tpm::Open(node_->tpm()->tcti(), system_random_);
    const Bytes area = *ReadFile(disk_, file, 4096);
    ak_public_ = ToBytes(ByteView(area).subspan(2));  // TPM2B_PUBLIC
    return BeginRule();
  };
  const std::string fixed = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth";
  EXPECT_EQ(rule_of("ecc256:ecdsa-sha256:null", fixed + "|restricted|sign"), "issued");
  EXPECT_EQ(rule_of("ecc256:ecdsa-sha256:null", fixed + "|sign"), "ak.restricted");
  EXPECT_EQ(rule_of("ecc256:ecdsa-sha256:null", "sensitivedataorigin|userwithauth|restricted|sign"),
            "ak.fixed-tpm");
  EXPECT_EQ(rule_of("ecc256:null:null", fixed + "|sign"), "ak.restricted");
  EXPECT_EQ(rule_of("ecc256:null:aes128cfb", fixed + "|restricted|decrypt"), "ak.sign");
  EXPECT_EQ(rule_of("rsa1024:rsassa-sha256:null", fixed + "|restricted|sign"), "public.key-bits");
}

TEST_F(TpmKind, CertifiesTheNullNameThatItsKernelSaw) {
  MakeNode(kP256);
  ASSERT_EQ(Enrol(), "admitted");
  EXPECT_EQ(Record().null_name, NullNameState::kNotOffered);
  const device::TpmAttestation seen = *tpm_->CertifyNullPrimary(Bytes(32, 1));
  const Bytes name = pki::ParseAttest(seen.attest)->certify()->name;
  ASSERT_TRUE(
      WriteFileAtomically(disk_, NullNamePath(), AsBytes(HexEncode(name) + "\n")).has_value());

  EXPECT_EQ(Reattest(), "admitted");
  EXPECT_EQ(Record().null_name, NullNameState::kCertified);

  PowerOn();  // the file is still that of the last boot: the TPM was reset since
  EXPECT_EQ(Reattest(), "null-name.kernel");
}

// ---- Surgery on what a TPM signed

class QuoteSurgery : public TpmKinds {
 protected:
  struct Signed {
    Bytes attest, signature;
  };
  Signed Quote(uint32_t mask) {
    const device::TpmQuote quote = *tpm_->Quote({static_cast<uint16_t>(kind_.bank), mask}, nonce_);
    values_.clear();
    for (const auto& [pcr, value] : quote.pcr_values)
      values_.push_back({pcr, PcrDigest::Of(value)});
    return {quote.signed_by_ak.attest, quote.signed_by_ak.signature};
  }
  std::string Failure(const Bytes& attest, const Bytes& signature,
                      AkParent parent = AkParent::kEndorsement) {
    const AttestationKey ak =
        AttestationKey::FromArea(pki::ParsePublicArea(ak_public_).value()).value();
    QuoteExpectation expected{};
    expected.extra_data = nonce_;
    expected.bank = kind_.bank;
    expected.pcr_mask = kMask;
    expected.ak_parent = parent;
    CheckList checks(QuoteRules());
    const auto quote = CheckQuote(ak, {attest, signature, &values_, nullptr}, expected, checks);
    const Check* const failure = checks.FirstFailure();
    EXPECT_EQ(quote.has_value(), failure == nullptr);
    return failure == nullptr ? "" : std::string(failure->rule);
  }

  static constexpr uint32_t kMask = 1u << 4 | 1u << 7;
  Bytes nonce_ = Bytes(32, 9);
  std::vector<PcrValue> values_;
};

TEST_P(QuoteSurgery, EveryTruncationAndEveryFlippedBitIsRefused) {
  MakeNode(GetParam());
  const Signed good = Quote(kMask);
  ASSERT_EQ(Failure(good.attest, good.signature), "");
  for (size_t size = 0; size < good.attest.size(); ++size)
    ASSERT_NE(Failure(ToBytes(ByteView(good.attest).first(size)), good.signature), "") << size;
  for (size_t size = 0; size < good.signature.size(); ++size)
    ASSERT_EQ(Failure(good.attest, ToBytes(ByteView(good.signature).first(size))),
              "quote.structure")
        << size;
  for (size_t bit = 0; bit < good.attest.size() * 8; ++bit) {
    Bytes flipped = good.attest;
    flipped[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    ASSERT_EQ(Failure(flipped, good.signature), "quote.signature") << bit;
  }
  for (size_t bit = 0; bit < good.signature.size() * 8; ++bit) {
    Bytes flipped = good.signature;
    flipped[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    ASSERT_NE(Failure(good.attest, flipped), "") << bit;
  }
}

TEST_P(QuoteSurgery, QuotesOfOtherPcrsAndNoncesAreRefused) {
  MakeNode(GetParam());
  const auto rule = [this](uint32_t mask) {
    const Signed quote = Quote(mask);
    return Failure(quote.attest, quote.signature);
  };
  EXPECT_EQ(rule(kMask | 1u), "quote.selection");
  EXPECT_EQ(rule(1u << 4), "quote.selection");
  EXPECT_EQ(rule(1u << 4 | 1u << 16), "quote.selection");  // a resettable one in place of PCR 7
  const Signed quote = Quote(kMask);
  nonce_ = Bytes(32, 8);
  EXPECT_EQ(Failure(quote.attest, quote.signature), "quote.extra-data");
  for (const size_t size : {31u, 33u}) {
    nonce_ = Bytes(size, 9);
    const Signed other = Quote(kMask);
    nonce_ = Bytes(32, 9);
    EXPECT_EQ(Failure(other.attest, other.signature), "quote.extra-data");
  }
}

TEST_P(QuoteSurgery, OtherThingsThatTheAkSignsAreNoQuotes) {
  MakeNode(GetParam());
  Quote(kMask);
  const device::TlsKey key = *tpm_->MakeTlsKey(nonce_);
  const device::TpmAttestation certified = *tpm_->Certify(key.id, nonce_);
  EXPECT_EQ(Failure(certified.attest, certified.signature), "quote.type");
  const device::TpmAttestation created = *tpm_->CertifyCreation(key.id, nonce_);
  EXPECT_EQ(Failure(created.attest, created.signature), "quote.type");
  const auto bank = static_cast<uint16_t>(kind_.bank);
  const device::TpmAttestation more =
      *tpm_->QuoteBanks({{bank, kMask}, {node::kSha512Bank, kMask}}, nonce_);
  EXPECT_EQ(Failure(more.attest, more.signature), "quote.selection");
  const device::TpmAttestation twice = *tpm_->QuoteBanks({{bank, kMask}, {bank, kMask}}, nonce_);
  EXPECT_EQ(Failure(twice.attest, twice.signature), "quote.structure");
}

INSTANTIATE_TEST_SUITE_P(All, QuoteSurgery, testing::Values(kP256, kRsa, kP384),
                         [](const auto& tested) { return tested.param.name; });

// ---- Rollback floors

class CertifiedFloorsOfATpm : public TpmKind {
 protected:
  std::optional<FloorsRow> Row() {
    auto snapshot = database_->Read();
    return FindFloors(snapshot.value().connection(), id_).value();
  }
  void Reboot() {
    key_.reset();
    tpm_.reset();
    node_->PowerOff();
    PowerOn();
    now_ = now_ + Minutes(1);
  }
  // Tool runs a tpm2-tools command while the agent is away.
  void Tool(const std::string& command) {
    tpm_.reset();
    const std::string line =
        "tpm2_" + command + " -T " + node_->tpm()->tcti() + " > /dev/null 2>&1";
    SP_CHECK(std::system(line.c_str()) == 0);
    Connect();
  }
};

TEST_F(CertifiedFloorsOfATpm, RiseWithTheCountersAndAreFoundWhenTheyFall) {
  MakeNode(kP256);
  ASSERT_EQ(Enrol(), "admitted");
  EXPECT_EQ(Row(), std::nullopt) << "a TPM without counters shows none";

  ASSERT_TRUE(tpm_->MakeFloorCounters());
  ASSERT_TRUE(tpm_->IncrementFloorCounter(pki::FloorCounter::kRollbackIndex));
  ASSERT_TRUE(tpm_->IncrementFloorCounter(pki::FloorCounter::kImageTargets));
  Reboot();
  ASSERT_EQ(Reattest(), "admitted");
  EXPECT_EQ(Row()->floors, (pki::FloorCounts{1, 0, 1, 0, 0}));
  EXPECT_EQ(Row()->finding, "");
  ASSERT_EQ(Renew(), "admitted");

  for (const char last : {'0', '1', '2', '3', '4', '5'})
    Tool("nvundefine -C o 0x0180A50" + std::string(1, last));
  Reboot();
  ASSERT_EQ(Reattest(), "admitted");
  EXPECT_EQ(Row()->finding, "floors.absent");
  ASSERT_TRUE(tpm_->MakeFloorCounters());
  Reboot();
  ASSERT_EQ(Reattest(), "admitted");
  EXPECT_EQ(Row()->finding, "floors.lowered");
  ASSERT_TRUE(tpm_->RemakeFloorCounters(Row()->highest));
  Reboot();
  ASSERT_EQ(Reattest(), "admitted");
  EXPECT_EQ(Row()->finding, "") << "given back";
  EXPECT_EQ(Row()->floors, (pki::FloorCounts{1, 0, 1, 0, 0}));
}

TEST_F(CertifiedFloorsOfATpm, OverAClearCountsGoOnAndFloorsCanBeGivenBack) {
  MakeNode(kP256);
  ASSERT_TRUE(tpm_->MakeFloorCounters());
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(tpm_->IncrementFloorCounter(pki::FloorCounter::kImageRoot));
  ASSERT_EQ(Enrol(), "admitted");
  Reboot();
  Reboot();
  ASSERT_EQ(Reattest(), "admitted");
  const pki::FloorCounts counts = Row()->counts;

  Tool("clear -c l");
  ASSERT_TRUE(tpm_->EnsureAttestationKey());
  ASSERT_TRUE(tpm_->MakeFloorCounters());
  Reboot();
  ASSERT_EQ(Reattest(), "admitted");
  EXPECT_EQ(Row()->finding, "floors.cleared");
  EXPECT_GT(Row()->counts, counts) << "TPM2_Clear lowers no count";
  ASSERT_TRUE(tpm_->RemakeFloorCounters(Row()->highest));
  Reboot();
  ASSERT_EQ(Reattest(), "admitted");
  EXPECT_EQ(Row()->finding, "");
  EXPECT_EQ(Row()->floors[1], 3u);
}

TEST_F(CertifiedFloorsOfATpm, OrdinaryIndicesInTheirPlaceAreNotShown) {
  MakeNode(kP256);
  ASSERT_EQ(Enrol(), "admitted");
  ASSERT_TRUE(tpm_->MakeFloorCounters());
  Tool("nvundefine -C o 0x0180A501");
  Tool("nvdefine 0x0180A501 -C o -s 8");
  Reboot();
  ASSERT_EQ(Reattest(), "admitted");
  EXPECT_EQ(Row(), std::nullopt);
}

}  // namespace
}  // namespace sallyport::server
