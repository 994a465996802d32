// The agent's TPM code against a software TPM, judged with the parsers that the server uses; and
// its TLS key in gRPC, which is what it is for.
#include "device-client/tpm/tpm.h"

#include <grpcpp/grpcpp.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "attestation-server/api/tls.h"
#include "attestation-server/api/v1/device.grpc.pb.h"
#include "device-client/tpm/tls_key_provider.h"
#include "device-client/transport/channel.h"
#include "pki/base/time.h"
#include "pki/tpm/creation_data.h"
#include "pki/tpm/key_rules.h"
#include "pki/tpm/signature.h"
#include "pki/x509/leaf_template.h"
#include "pki/x509/pem.h"
#include "tests/node/esys_tpm.h"
#include "tests/node/swtpm.h"
#include "tests/node/vendor_ca.h"

namespace sallyport::device {
namespace {

namespace api = ::sallyport::attestation::v1;

constexpr pki::PcrBank kBootPcrs{pki::tpm::kAlgSha256,
                                 0x0000FFFF};  // 16 values take two TPM2_PCR_Read

pki::PublicArea Parsed(ByteView area) { return *pki::ParsePublicArea(area); }

class TpmTest : public testing::Test {
 protected:
  TpmTest() {
    std::signal(SIGPIPE, SIG_IGN);  // a swtpm that is off, as the agent's own start does
    char name[] = "/tmp/sp-tpm-XXXXXX";
    dir_ = ::mkdtemp(name);
    swtpm_.emplace(*node::SwTpm::Start(dir_));
    tpm_ = *Tpm::Open(swtpm_->tcti(), random_);
  }
  ~TpmTest() override {
    tpm_.reset();
    swtpm_.reset();
    std::filesystem::remove_all(dir_);
  }
  // EnsureAk returns the AK, ready to sign.
  pki::PublicArea EnsureAk() { return Parsed(*tpm_->EnsureAttestationKey()); }

  std::string dir_;
  SystemRandom random_;
  std::optional<node::SwTpm> swtpm_;
  std::unique_ptr<Tpm> tpm_;
};

TEST_F(TpmTest, AttestationKeyFollowsTheServersRulesAndSurvivesReset) {
  const pki::PublicArea ak = EnsureAk();

  EXPECT_TRUE(pki::RequireAll(pki::CheckAttestationKey(ak)).has_value());
  tpm_.reset();
  ASSERT_TRUE(swtpm_->Reset().has_value());
  tpm_ = *Tpm::Open(swtpm_->tcti(), random_);
  EXPECT_EQ(EnsureAk(), ak);
}

TEST_F(TpmTest, ConnectsAgainWhenItsConnectionBroke) {
  tpm_.reset();
  tpm_ = *Tpm::Open(swtpm_->RelayTcti(), random_);
  const pki::PublicArea ak = EnsureAk();
  const TlsKey before = *tpm_->MakeTlsKey(AsBytes("nonce"));
  swtpm_->CutRelay();
  const Result<pki::ClockInfo> lost = tpm_->ReadClock();
  ASSERT_FALSE(lost.has_value());
  EXPECT_EQ(lost.error().reason, Reason::kUnavailable);

  EXPECT_TRUE(tpm_->ReadClock().has_value());
  EXPECT_TRUE(tpm_->Quote(kBootPcrs, AsBytes("nonce")).has_value());
  EXPECT_EQ(EnsureAk(), ak);
  const TlsKey after = *tpm_->MakeTlsKey(AsBytes("nonce"));
  EXPECT_NE(after.id, before.id);
  const Result<TpmAttestation> gone = tpm_->Certify(before.id, AsBytes("nonce"));
  ASSERT_FALSE(gone.has_value());
  EXPECT_EQ(gone.error().name(), "tls-key.gone");
  EXPECT_TRUE(tpm_->Certify(after.id, AsBytes("nonce")).has_value());
}

TEST_F(TpmTest, ConnectsAgainOnceTheTpmIsBack) {
  tpm_.reset();
  tpm_ = *Tpm::Open(swtpm_->RelayTcti(), random_);
  swtpm_->CutRelay();
  swtpm_->CutPower();
  EXPECT_FALSE(tpm_->ReadClock().has_value());
  EXPECT_FALSE(tpm_->ReadClock().has_value());
  ASSERT_TRUE(swtpm_->PowerOn().has_value());
  EXPECT_TRUE(tpm_->ReadClock().has_value());
}

TEST_F(TpmTest, LeavesAForeignKeyAtItsHandleAlone) {
  const std::string with = " -T " + swtpm_->tcti() + " > /dev/null 2>&1";
  const std::string context = dir_ + "/foreign.ctx";
  ASSERT_EQ(std::system(("tpm2_createprimary -C o -G ecc -c " + context + with).c_str()), 0);
  ASSERT_EQ(std::system(("tpm2_evictcontrol -C o -c " + context + " 0x81010A01" + with).c_str()),
            0);
  tpm_ = nullptr;
  tpm_ = *Tpm::Open(swtpm_->tcti(), random_);

  EXPECT_EQ(tpm_->EnsureAttestationKey().error().name(), "ak.foreign");
  EXPECT_EQ(std::system(("tpm2_readpublic -c 0x81010A01" + with).c_str()), 0);
}

TEST_F(TpmTest, SignsNothingBeforeItsAttestationKeyIsThere) {
  EXPECT_EQ(tpm_->Quote(kBootPcrs, Bytes(32, 1)).error().name(), "ak.missing");
}

TEST_F(TpmTest, OpenFlushesWhatACrashedOwnerLeftBehind) {
  const std::string with = " -T " + swtpm_->tcti() + " > /dev/null 2>&1";
  for (int i = 0; i < 3; ++i)
    ASSERT_EQ(std::system(("tpm2_createprimary -C o -G ecc -c " + dir_ + "/k.ctx" + with).c_str()),
              0);
  for (int i = 0; i < 3; ++i)
    ASSERT_EQ(std::system(
                  ("tpm2_startauthsession --policy-session -S " + dir_ + "/s.ctx" + with).c_str()),
              0);
  ASSERT_EQ(tpm_->MakeTlsKey(Bytes(32, 1)).error().reason, Reason::kUnavailable);

  tpm_ = *Tpm::Open(swtpm_->tcti(), random_);

  EXPECT_TRUE(tpm_->MakeTlsKey(Bytes(32, 1)).has_value());
}

TEST_F(TpmTest, RunsTheSameOperationsMoreOftenThanATpmHasSlots) {
  EnsureAk();
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(tpm_->EkPublic(pki::EkTemplate::kL2P256).has_value());
    const TlsKey key = *tpm_->MakeTlsKey(Bytes(32, 1));
    ASSERT_TRUE(tpm_->Certify(key.id, Bytes(32, 2)).has_value());
    tpm_->FlushTlsKey(key.id);
  }
}

// ---- Endorsement key

class EndorsementTest : public TpmTest, public testing::WithParamInterface<pki::EkTemplate> {};

TEST_P(EndorsementTest, OpensACredentialMadeForItsNameOnly) {
  const Bytes ak_name = pki::ObjectName(EnsureAk());
  const pki::PublicArea ek = Parsed(*tpm_->EkPublic(GetParam()));
  ASSERT_EQ(*pki::MatchEkTemplate(*ek.ToPublicKey(), ek.Marshal()), ek);
  ASSERT_EQ(pki::FindEkTemplate(ek), GetParam());
  const Bytes secret = ToBytes("32 bytes that only the TPM opens");
  Bytes other_name = ak_name;
  other_name.back() ^= 1;

  const pki::MadeCredential made = *pki::MakeCredential(ek, ak_name, secret);
  const pki::MadeCredential for_other = *pki::MakeCredential(ek, other_name, secret);

  auto opened = tpm_->ActivateCredential(GetParam(), made.credential_blob, made.encrypted_secret);
  ASSERT_TRUE(opened.has_value()) << opened.error().ToString();
  EXPECT_TRUE(opened->Matches(secret));
  const auto refused =
      tpm_->ActivateCredential(GetParam(), for_other.credential_blob, for_other.encrypted_secret);
  EXPECT_EQ(refused.error().reason, Reason::kBadSignature);
}

TEST_P(EndorsementTest, ReadsItsCertificate) {
  const bool ecc = std::holds_alternative<pki::EccUnique>(pki::EkTemplateArea(GetParam()).unique);
  const auto kind = ecc ? node::EkKind::kP256 : node::EkKind::kRsa2048;  // for the key usage
  static const std::map<pki::EkTemplate, uint32_t> kIndices{
      {pki::EkTemplate::kL1Rsa2048, node::kEkCertificateRsa2048Index},
      {pki::EkTemplate::kL2P256, node::kEkCertificateP256Index},
      {pki::EkTemplate::kH1Rsa2048, 0x01C00012},
      {pki::EkTemplate::kH2P256, 0x01C00014},
      {pki::EkTemplate::kH3P384, 0x01C00016},
      {pki::EkTemplate::kH6Rsa3072, 0x01C0001C}};
  const uint32_t index = kIndices.at(GetParam());
  const node::VendorCa vendor =
      *node::VendorCa::Make(UnixTime::FromSeconds(1'790'000'000), random_);
  const Bytes spki = Parsed(*tpm_->EkPublic(GetParam())).ToPublicKey()->spki();
  const Bytes certificate =
      *vendor.IssueEk(kind, spki, UnixTime::FromSeconds(1'790'000'000), random_);
  Bytes padded = certificate;
  padded.resize(padded.size() + 20, 0xFF);
  auto maker = *node::EsysTpm::Connect(swtpm_->tcti());
  EXPECT_EQ(tpm_->ReadEkCertificates(GetParam()).error().reason, Reason::kNotFound);
  ASSERT_TRUE(maker.WriteCertificate(index, padded).has_value());
  ASSERT_TRUE(maker.WriteCertificate(0x01C00100, vendor.intermediate()).has_value());

  const EkCertificates read = *tpm_->ReadEkCertificates(GetParam());

  EXPECT_EQ(read.leaf, certificate);
  EXPECT_EQ(read.chain, std::vector<Bytes>{vendor.intermediate()});
}

// RSA-4096 (H-7) is beyond this software TPM.
INSTANTIATE_TEST_SUITE_P(Templates, EndorsementTest,
                         testing::Values(pki::EkTemplate::kL1Rsa2048, pki::EkTemplate::kL2P256,
                                         pki::EkTemplate::kH1Rsa2048, pki::EkTemplate::kH2P256,
                                         pki::EkTemplate::kH3P384, pki::EkTemplate::kH6Rsa3072),
                         [](const auto& tested) {
                           std::string name(pki::EkTemplateName(tested.param));
                           std::erase(name, '-');
                           return name;
                         });

// ---- Initial attestation key

TEST_F(TpmTest, VouchesOnlyByAKeyThatHasAnIakCertificate) {
  constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);
  EnsureAk();
  const auto reason = [this] {
    return tpm_->VouchByIak("edge.example", Bytes(40, 1)).error().reason;
  };
  EXPECT_EQ(reason(), Reason::kNotFound);
  const node::VendorCa maker = *node::VendorCa::Make(kNow, random_);
  auto factory = *node::EsysTpm::Connect(swtpm_->tcti());
  const Bytes spki = *factory.MakeIak(0x81020005);
  EXPECT_EQ(reason(), Reason::kNotFound);
  const Bytes other_spki = pki::PrivateKey::Generate(pki::KeyType::kP256)->public_key().spki();
  for (const Bytes& other : {*maker.IssueIak(other_spki, "SN-1", kNow, random_),
                             *maker.IssueEk(node::EkKind::kP256, spki, kNow, random_)}) {
    ASSERT_TRUE(factory.WriteCertificate(0x01C90000, other).has_value());
    EXPECT_EQ(reason(), Reason::kNotFound);
  }
  const Bytes leaf = *maker.IssueIak(spki, "SN-1", kNow, random_);
  ASSERT_TRUE(factory.WriteCertificate(0x01C90000, maker.intermediate()).has_value());
  ASSERT_TRUE(factory.WriteCertificate(0x01C90011, leaf).has_value());

  const auto voucher = tpm_->VouchByIak("edge.example", Bytes(40, 1));
  ASSERT_TRUE(voucher.has_value()) << voucher.error().ToString();
  EXPECT_EQ(voucher->chain, (std::vector<Bytes>{leaf, maker.intermediate()}));
  EXPECT_EQ(Parsed(voucher->iak_public).ToPublicKey()->spki(), spki);
}

// ---- TLS key

TEST_F(TpmTest, TlsKeyIsCertifiedAtItsCreation) {
  const pki::PublicArea ak = EnsureAk();
  const Bytes nonce(32, 7);
  const Bytes qualifying(32, 8);

  const TlsKey key = *tpm_->MakeTlsKey(nonce);
  const TpmAttestation proof = *tpm_->CertifyCreation(key.id, qualifying);

  ASSERT_TRUE(pki::VerifyTpmSignature(ak, proof.attest, proof.signature).has_value());
  const pki::Attest attest = *pki::ParseAttest(proof.attest);
  ASSERT_NE(attest.creation(), nullptr);
  const pki::PublicArea area = Parsed(key.public_area);
  EXPECT_EQ(attest.extra_data, qualifying);
  EXPECT_EQ(attest.qualified_signer,
            pki::PrimaryQualifiedName(ak.name_alg, pki::tpm::kEndorsement, pki::ObjectName(ak)));
  EXPECT_EQ(attest.creation()->object_name, pki::ObjectName(area));
  EXPECT_EQ(attest.creation()->creation_hash, pki::CreationHash(area.name_alg, key.creation_data));
  const pki::CreationData creation = *pki::ParseCreationData(key.creation_data);
  EXPECT_TRUE(creation.PrimaryOf(pki::tpm::kNullHierarchy));
  EXPECT_EQ(creation.outside_info, nonce);
  EXPECT_TRUE(pki::RequireAll(pki::CheckTlsKey(area)).has_value());
}

TEST_F(TpmTest, TlsKeyIsCertifiedAgainForARenewal) {
  const pki::PublicArea ak = EnsureAk();
  const TlsKey key = *tpm_->MakeTlsKey(Bytes(32, 7));

  const TpmAttestation proof = *tpm_->Certify(key.id, Bytes(32, 9));

  ASSERT_TRUE(pki::VerifyTpmSignature(ak, proof.attest, proof.signature).has_value());
  const pki::Attest attest = *pki::ParseAttest(proof.attest);
  ASSERT_NE(attest.certify(), nullptr);
  const Bytes name = pki::ObjectName(Parsed(key.public_area));
  EXPECT_EQ(attest.certify()->name, name);
  EXPECT_EQ(attest.certify()->qualified_name,
            pki::PrimaryQualifiedName(pki::HashAlgorithm::kSha256, pki::tpm::kNullHierarchy, name));
}

TEST_F(TpmTest, EachTlsKeyOfABootIsAnother) {
  EXPECT_NE(tpm_->MakeTlsKey(Bytes(32, 7))->public_area,
            tpm_->MakeTlsKey(Bytes(32, 7))->public_area);
}

TEST_F(TpmTest, TlsKeySigns) {
  const TlsKey key = *tpm_->MakeTlsKey(Bytes(32, 7));

  const Bytes signature = *tpm_->Sign(key.id, pki::Sha256(AsBytes("message")));

  EXPECT_TRUE(
      Parsed(key.public_area).ToPublicKey()->Verify(AsBytes("message"), signature).has_value());
}

TEST_F(TpmTest, TlsKeyDiesWithTheBoot) {
  EnsureAk();
  const TlsKey key = *tpm_->MakeTlsKey(Bytes(32, 7));

  ASSERT_TRUE(swtpm_->Reset().has_value());

  EXPECT_EQ(tpm_->Sign(key.id, pki::Sha256(AsBytes("message"))).error().reason, Reason::kNotFound);
  EXPECT_EQ(tpm_->Certify(key.id, Bytes(32, 9)).error().reason, Reason::kNotFound);
}

TEST_F(TpmTest, AFlushedTlsKeyIsGone) {
  const TlsKey key = *tpm_->MakeTlsKey(Bytes(32, 7));

  tpm_->FlushTlsKey(key.id);

  EXPECT_EQ(tpm_->Sign(key.id, pki::Sha256(AsBytes("message"))).error().name(), "tls-key.gone");
}

// ---- Quote

TEST_F(TpmTest, QuoteVerifiesWithItsPcrValues) {
  const pki::PublicArea ak = EnsureAk();
  auto firmware = *node::EsysTpm::Connect(swtpm_->tcti());
  ASSERT_TRUE(firmware.Extend(4, pki::Sha256(AsBytes("loader"))).has_value());

  const TpmQuote quote = *tpm_->Quote(kBootPcrs, Bytes(32, 3));

  ASSERT_TRUE(pki::VerifyTpmSignature(ak, quote.signed_by_ak.attest, quote.signed_by_ak.signature)
                  .has_value());
  const pki::Attest attest = *pki::ParseAttest(quote.signed_by_ak.attest);
  ASSERT_NE(attest.quote(), nullptr);
  EXPECT_EQ(attest.quote()->selection, pki::PcrSelection{kBootPcrs});
  EXPECT_EQ(attest.extra_data, Bytes(32, 3));
  ASSERT_EQ(quote.pcr_values.size(), 16u);
  Bytes joined;
  for (const auto& [pcr, value] : quote.pcr_values) Append(joined, value);
  EXPECT_EQ(attest.quote()->pcr_digest, ToBytes(pki::Sha256(joined).view()));
  EXPECT_EQ(quote.pcr_values.at(4), ToBytes(firmware.ReadPcr(4)->view()));
}

TEST_F(TpmTest, CountsItsBoots) {
  const pki::ClockInfo before = *tpm_->ReadClock();

  ASSERT_TRUE(swtpm_->Reset().has_value());

  EXPECT_EQ(tpm_->ReadClock()->reset_count, before.reset_count + 1);
}

TEST_F(TpmTest, RefusesABankThatItDoesNotHave) {
  EXPECT_EQ(tpm_->ReadPcrs({0x0027, 1}).error().name(), "tpm.pcr-read");
}

TEST_F(TpmTest, ServesManyThreadsAtOnce) {
  EnsureAk();
  const TlsKey key = *tpm_->MakeTlsKey(Bytes(32, 7));
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      EXPECT_TRUE(tpm_->Sign(key.id, pki::Sha256(AsBytes("message"))).has_value());
      EXPECT_TRUE(tpm_->Quote(kBootPcrs, Bytes(32, 3)).has_value());
    });
  for (std::thread& thread : threads) thread.join();
}

TEST(TpmOpen, SaysWhatIsMissing) {
  SystemRandom random;
  EXPECT_EQ(Tpm::Open("swtpm:path=/nonexistent/tpm.sock", random).error().name(), "tpm.connect");
}

// ---- gRPC with the TPM's key

// Answers with the SPIFFE id that TLS proved.
class WhoAmI final : public api::Device::Service {
  grpc::Status GetManifest(grpc::ServerContext* context, const api::GetManifestRequest* /*request*/,
                           api::DeviceManifest* response) override {
    for (const grpc::string_ref& id : context->auth_context()->FindPropertyValues("peer_spiffe_id"))
      response->add_root_chain(std::string(id.data(), id.size()));
    return grpc::Status::OK;
  }
};

class GrpcTest : public TpmTest {
 protected:
  static void SetUpTestSuite() { server::PrepareTls(); }

  // TestCa issues for both ends; the test is about keys, not roles.
  struct TestCa {
    pki::LeafTemplate leaves;
    std::string pem;
  };
  TestCa MakeCa() {
    pki::PrivateKey key = *pki::PrivateKey::Generate(pki::KeyType::kP256);
    const pki::TrustDomain domain = *pki::TrustDomain::Parse("edge.example");
    const pki::IssuerFields fields{.common_name = "test",
                                   .trust_domain = domain,
                                   .serial = Bytes(16, 0x11),
                                   .not_before = clock_.Wall() - Hours(1),
                                   .not_after = clock_.Wall() + Hours(1),
                                   .path_length = 0,
                                   .scope = pki::NameScope::kUriAndHosts};
    pki::IssuerCertificate issuer = *pki::SignSelfIssued(fields, key);
    std::string pem = issuer.ToPem();
    return {*pki::LeafTemplate::Make(std::move(issuer), std::move(key), domain), std::move(pem)};
  }
  pki::LeafValidity Validity() const {
    return {clock_.Wall() - Minutes(1), clock_.Wall() + Minutes(10)};
  }

  std::unique_ptr<grpc::Server> StartServer(const TestCa& ca) {
    const pki::PrivateKey key = *pki::PrivateKey::Generate(pki::KeyType::kP256);
    const pki::IssuedLeaf leaf = *ca.leaves.IssueServer(
        "control", {{"localhost"}, {}}, key.public_key().spki(), Validity(), random_);
    grpc::SslServerCredentialsOptions options(
        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    options.pem_root_certs = ca.pem;
    options.pem_key_cert_pairs = {{*key.SealedPem(""), pki::CertificatePem(leaf.der)}};
    grpc::ServerBuilder builder;
    builder.AddListeningPort(Address(), grpc::SslServerCredentials(options));
    builder.RegisterService(&service_);
    return builder.BuildAndStart();
  }
  std::string Address() const { return "unix:" + dir_ + "/grpc.sock"; }

  RealClock clock_;
  WhoAmI service_;
};

TEST_F(GrpcTest, CallsWithMutualTlsAndTheTpmsKey) {
  const TestCa ca = MakeCa();
  const std::unique_ptr<grpc::Server> grpc_server = StartServer(ca);
  ASSERT_NE(grpc_server, nullptr);
  const TlsKey key = *tpm_->MakeTlsKey(Bytes(32, 7));
  const pki::PublicKey public_key = *Parsed(key.public_area).ToPublicKey();
  const pki::DeviceId device = *pki::DeviceId::Parse(std::string(52, 'a'));
  const pki::IdentityExtension extension{.attested_at = clock_.Wall(),
                                         .boot_id = BootId::FromArray({}),
                                         .release_digest = std::nullopt,
                                         .key_protection = pki::KeyProtection::kTpmNullHierarchy};
  const pki::IssuedLeaf leaf =
      *ca.leaves.IssueDevice(device, public_key.spki(), extension, Validity(), random_);
  const auto reference = *TlsKeyReference::Register(
      public_key, [this, key](const Sha256Digest& digest) { return tpm_->Sign(key.id, digest); });
  const ServerTrust trust{ca.pem, {"spiffe://edge.example/server/control"}};

  for (int i = 0; i < 3; ++i) {
    const auto channel = MakeChannel(
        Address(), trust, ClientIdentity{reference->pem(), pki::CertificatePem(leaf.der)});
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    api::DeviceManifest answer;
    const grpc::Status status = api::Device::NewStub(channel)->GetManifest(&context, {}, &answer);

    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_EQ(answer.root_chain_size(), 1);
    EXPECT_EQ(answer.root_chain(0), "spiffe://edge.example/device/" + std::string(52, 'a'));
  }
  grpc_server->Shutdown();
}

}  // namespace
}  // namespace sallyport::device
