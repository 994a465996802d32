#include "attestation-server/service/wire.h"

namespace sallyport::server {
namespace {

api::BeginRequest Begin() {
  api::BeginRequest wire;
  wire.set_protocol_version(1);
  wire.set_purpose(api::PURPOSE_ENROL);
  wire.add_ek_certificates("leaf");
  wire.add_ek_certificates("intermediate");
  wire.set_ek_public("ek");
  wire.set_ak_public("ak");
  return wire;
}

api::Evidence Evidence() {
  api::Evidence wire;
  wire.set_protocol_version(1);
  api::Quote* const quote = wire.add_quotes();
  quote->set_attest("attest");
  quote->set_signature("signature");
  (*quote->mutable_pcr_values())[7] = "pcr seven";
  wire.set_event_log("log");
  wire.set_tls_public("tls");
  wire.set_key_certification(api::KEY_CERTIFICATION_CREATION);
  wire.set_creation_data("creation");
  wire.set_key_attest("key attest");
  wire.set_key_signature("key signature");
  wire.set_csr("csr");
  wire.set_boot_slot("A");
  wire.set_release_digest(std::string(32, 'r'));
  wire.set_epoch_held(42);
  wire.set_activation_proof(std::string(32, 'p'));
  wire.set_token("token");
  wire.set_advertise("edge:15008");
  return wire;
}

std::string_view Rule(const api::Evidence& wire) {
  const auto input = FromWire("ticket", wire);
  return input ? "accepted" : input.error().rule;
}

TEST(WireBegin, CarriesEveryField) {
  const auto input = FromWire(Begin());
  ASSERT_TRUE(input.has_value());
  EXPECT_EQ(input->protocol_version, 1u);
  EXPECT_EQ(input->purpose, pki::Purpose::kEnrol);
  EXPECT_EQ(input->ek_certificates, (std::vector<Bytes>{ToBytes("leaf"), ToBytes("intermediate")}));
  EXPECT_EQ(input->ek_public, ToBytes("ek"));
  EXPECT_EQ(input->ak_public, ToBytes("ak"));
}

TEST(WireBegin, RefusesPurposesOutsideTheEnum) {
  api::BeginRequest wire = Begin();
  wire.set_purpose(api::PURPOSE_REATTEST);
  EXPECT_EQ(FromWire(wire)->purpose, pki::Purpose::kReattest);
  for (const int purpose : {0, 3, -1}) {
    wire.set_purpose(static_cast<api::Purpose>(purpose));
    const auto input = FromWire(wire);
    ASSERT_FALSE(input.has_value()) << purpose;
    EXPECT_EQ(input.error().rule, "wire.enum") << purpose;
  }
}

TEST(WireEvidence, CarriesEveryField) {
  const auto input = FromWire("ticket", Evidence());
  ASSERT_TRUE(input.has_value()) << input.error().ToString();
  const ReceivedEvidence& evidence = input->evidence;
  EXPECT_EQ(input->ticket, ToBytes("ticket"));
  ASSERT_EQ(evidence.quotes.size(), 1u);
  EXPECT_EQ(evidence.quotes[0].attest, ToBytes("attest"));
  EXPECT_EQ(evidence.quotes[0].signature, ToBytes("signature"));
  EXPECT_EQ(evidence.quotes[0].pcr_values.at(7), ToBytes("pcr seven"));
  EXPECT_EQ(evidence.event_log, ToBytes("log"));
  EXPECT_FALSE(evidence.event_log_hash.has_value());
  EXPECT_EQ(evidence.tls_public, ToBytes("tls"));
  EXPECT_EQ(evidence.key_certification, KeyCertification::kCreation);
  EXPECT_EQ(evidence.creation_data, ToBytes("creation"));
  EXPECT_EQ(evidence.key_attest, ToBytes("key attest"));
  EXPECT_EQ(evidence.key_signature, ToBytes("key signature"));
  EXPECT_EQ(evidence.csr, ToBytes("csr"));
  EXPECT_EQ(evidence.boot_slot, "A");
  EXPECT_EQ(ToBytes(evidence.release_digest->view()), Bytes(32, 'r'));
  EXPECT_EQ(evidence.epoch_held, 42u);
  EXPECT_EQ(ToBytes(evidence.activation_proof->view()), Bytes(32, 'p'));
  EXPECT_EQ(evidence.token, "token");
  EXPECT_EQ(evidence.advertise, "edge:15008");
}

TEST(WireEvidence, RefusesEachReservedFieldThatIsSet) {
  api::Evidence idevid = Evidence();
  idevid.add_idevid_chain("");
  EXPECT_EQ(Rule(idevid), "wire.reserved-field");
}

TEST(WireEvidence, TakesTheNullName) {
  api::Evidence wire = Evidence();
  wire.set_null_name("name");
  wire.set_null_name_attest("attest");
  wire.set_null_name_signature("signature");
  const ReceivedEvidence evidence = FromWire("ticket", wire)->evidence;
  EXPECT_EQ(evidence.null_name, ToBytes("name"));
  EXPECT_EQ(evidence.null_name_attest, ToBytes("attest"));
  EXPECT_EQ(evidence.null_name_signature, ToBytes("signature"));
}

TEST(WireEvidence, TakesTheFloorsInTheirOrder) {
  api::Evidence wire = Evidence();
  EXPECT_TRUE(FromWire("ticket", wire)->evidence.floors.empty());
  for (const char* const index : {"base", "first"}) {
    api::CertifiedIndex* const floor = wire.add_floors();
    floor->set_attest(index);
    floor->set_signature("signature");
  }
  const ReceivedEvidence evidence = FromWire("ticket", wire)->evidence;
  ASSERT_EQ(evidence.floors.size(), 2u);
  EXPECT_EQ(evidence.floors[0].attest, ToBytes("base"));
  EXPECT_EQ(evidence.floors[1].attest, ToBytes("first"));
  EXPECT_EQ(evidence.floors[1].signature, ToBytes("signature"));
}

TEST(WireEvidence, TellsNoMeasurementListFromAnEmptyOne) {
  api::Evidence wire = Evidence();
  EXPECT_FALSE(FromWire("", wire)->evidence.ima.has_value());
  wire.mutable_ima_delta()->set_first_entry(7);
  const auto empty = FromWire("", wire)->evidence.ima;
  ASSERT_TRUE(empty.has_value());
  EXPECT_EQ(empty->first, 7u);
  EXPECT_TRUE(empty->list.empty());
  wire.mutable_ima_delta()->set_entries("entries");
  EXPECT_EQ(FromWire("", wire)->evidence.ima->list, ToBytes("entries"));
}

TEST(WireEvidence, RefusesKeyCertificationsOutsideTheEnum) {
  api::Evidence wire = Evidence();
  wire.set_key_certification(api::KEY_CERTIFICATION_CERTIFY);
  EXPECT_EQ(Rule(wire), "accepted");
  for (const int certification : {0, 3, -1}) {
    wire.set_key_certification(static_cast<api::KeyCertification>(certification));
    EXPECT_EQ(Rule(wire), "wire.enum") << certification;
  }
}

TEST(WireEvidence, RefusesDigestsOfAnotherSize) {
  for (const size_t size : {size_t{1}, size_t{31}, size_t{33}, size_t{64}}) {
    const std::string bytes(size, 'x');
    api::Evidence log = Evidence();
    log.set_event_log_sha256(bytes);
    api::Evidence release = Evidence();
    release.set_release_digest(bytes);
    api::Evidence proof = Evidence();
    proof.set_activation_proof(bytes);
    for (const api::Evidence& wire : {log, release, proof})
      EXPECT_EQ(Rule(wire), "wire.size") << size;
  }
}

TEST(WireEvidence, KeepsAbsentDigestsAbsent) {
  api::Evidence wire = Evidence();
  wire.clear_release_digest();
  wire.clear_activation_proof();
  const auto input = FromWire("", wire);
  ASSERT_TRUE(input.has_value());
  EXPECT_FALSE(input->evidence.release_digest.has_value());
  EXPECT_FALSE(input->evidence.activation_proof.has_value());
}

Refusal RefusalOf(const std::string& reference_id) {
  Refusal refusal;
  refusal.reference_id = reference_id;
  return refusal;
}

TEST(RefusalStatus, TellsTheCallerItsReferenceAndNoMore) {
  const grpc::Status status = RefusalStatus(RefusalOf("ab12"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(status.error_message(), "not-admitted");
  api::Refusal detail;
  ASSERT_TRUE(detail.ParseFromString(status.error_details()));
  EXPECT_EQ(detail.reference_id(), "ab12");
  EXPECT_EQ(detail.rule(), "");
}

TEST(RefusalStatus, SaysWhenToComeBack) {
  Refusal busy = RefusalOf("ab12");
  busy.retry_after = Seconds(3);
  const grpc::Status later = RefusalStatus(busy);
  EXPECT_EQ(later.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  api::Refusal detail;
  ASSERT_TRUE(detail.ParseFromString(later.error_details()));
  EXPECT_EQ(detail.retry_after_ms(), 3000u);
  busy.unavailable = true;
  EXPECT_EQ(RefusalStatus(busy).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(WireAnswers, CarryTheChallengeAndTheCertificate) {
  IssuedChallenge challenge;
  challenge.ticket = ToBytes("ticket");
  challenge.pcr_requests = {{"sha256", {0, 7}}};
  challenge.bank_audit = {{0x0004, 0x000B}, {0, 7}};
  challenge.expires_in = Seconds(60);
  api::Challenge wire;
  ToWire(challenge, &wire);
  EXPECT_EQ(wire.ticket_id().size(), 16u);
  EXPECT_EQ(wire.nonce().size(), 32u);
  EXPECT_EQ(wire.pcr_requests(0).pcrs(1), 7u);
  EXPECT_EQ(wire.bank_audit().banks(1), 0x000Bu);
  EXPECT_EQ(wire.bank_audit().pcrs(1), 7u);
  EXPECT_EQ(wire.expires_in_ms(), 60000u);
  EXPECT_FALSE(wire.has_ima());
  challenge.ima_first = 0;
  ToWire(challenge, &wire);
  EXPECT_TRUE(wire.has_ima());

  Admitted admitted;
  admitted.chain = {ToBytes("leaf"), ToBytes("issuer")};
  admitted.tier = pki::Tier::kMeasured;
  api::Certificate certificate;
  ToWire(admitted, &certificate);
  EXPECT_EQ(certificate.chain(1), "issuer");
  EXPECT_EQ(certificate.tier(), "measured");
}

}  // namespace
}  // namespace sallyport::server
