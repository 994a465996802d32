// A whole enrolment side over a real store in a temporary directory: vendor, profile, class,
// reference, token.
#pragma once

#include <gtest/gtest.h>

#include "attestation-server/enrolment/flow.h"
#include "attestation-server/enrolment/tokens.h"
#include "attestation-server/reference/reference_file.h"
#include "attestation-server/store/issuance.h"
#include "attestation-server/store/meta.h"
#include "attestation-server/store/references.h"
#include "attestation-server/store/tokens.h"
#include "pki/ca/hierarchy.h"
#include "pki/crypto/hash.h"
#include "tests/fakes/fake_tpm_evidence.h"
#include "tests/fakes/memory_file_system.h"
#include "tests/unit/attestation-server/store/recorded_events.h"
#include "tests/unit/attestation-server/store/store_fixture.h"

namespace sallyport::server {

constexpr UnixTime kStart = UnixTime::FromSeconds(1'790'000'000);

class FlowTest : public StoreTest {
 protected:
  FlowTest() {
    Open();
    Must([](Connection& c) { return InitialiseDeployment(c, {"edge.example", true, 1}); });
    ImportReference("uki 1");
    token_ = MakeToken({});
    Restart();
  }

  // Restart is a new process over the same store.
  void Restart() {
    FlowConfig config{.trust_domain = pki::TrustDomain::Parse("edge.example").value(),
                      .development = true,
                      .incarnation = 1,
                      .classes = {{"online", {Hours(1), false, ima_}}, {"edge", {Hours(24), true}}},
                      .profiles = {},
                      .pcrs = {0, 4, 7},
                      .limits = limits_};
    config.profiles.emplace("default", Profile{RootsOf(vendor_), vendor_profile_});
    flow_ = std::make_unique<EnrolmentFlow>(
        std::move(config), FlowParts{*database_, blobs_, random_, events_}, signer_);
  }

  static pki::EkRoots RootsOf(const FakeTpmVendor& vendor) {
    return pki::EkRoots::FromCertificates(std::vector<Bytes>{vendor.root_der()}).value();
  }
  template <typename Body>
  void Must(Body body) {
    const Result<Unit> done =
        Write([&](Transaction& t) -> Result<Unit> { return body(t.connection()); });
    ASSERT_TRUE(done.has_value()) << done.error().ToString();
  }
  void ImportReference(std::string_view image) {
    ImportReferenceJson(ReferenceJson(image, "online"));
  }
  void ImportReferenceJson(std::string json) {
    ReferenceRow row;
    row.device_class = "online";
    row.json = std::move(json);
    row.id = pki::Sha256(AsBytes(row.json));
    row.state = ReferenceState::kActive;
    Must([&](Connection& c) { return References(c).Insert(row); });
  }
  // ImportFiles puts a file in force that has the PCRs of the other one, and allows these contents.
  void ImportFiles(const std::vector<std::string>& contents) {
    ReferenceFile file = ParseReferenceFile(ReferenceJson("uki 1", "online")).value();
    auto expected = std::make_shared<ImaExpected>();
    for (const std::string& content : contents)
      expected->files.insert(ToString(ImaListBuilder::FileDigest(content)));
    file.expectation.ima.push_back(std::move(expected));
    ImportReferenceJson(WriteReferenceFile(file));
  }
  // MakeToken stores a token that auto-approves one device, with the differences in `record`.
  std::string MakeToken(TokenRecord record) {
    const std::string token = NewToken(random_);
    record.id = token.substr(0, 8);
    record.secret_hash = HashToken(token).value();
    record.profile = record.profile.empty() ? "default" : record.profile;
    if (record.placement.device_class.empty()) record.placement = {"berlin", "online", {"camera"}};
    record.created_at = kStart - Hours(1);
    if (record.expires_at.ms == 0) record.expires_at = kStart + Hours(1);
    if (record.created_by.empty()) record.auto_approve = true;
    Must([&](Connection& c) { return Tokens(c).Insert(record); });
    return token;
  }

  static const IssuedChallenge& Issued(const Answer<IssuedChallenge>& answer) {
    SP_CHECK(std::holds_alternative<IssuedChallenge>(answer));
    return std::get<IssuedChallenge>(answer);
  }
  static const Refusal* RefusalOf(const Answer<Admitted>& answer) {
    return std::get_if<Refusal>(&answer);
  }

  IssuedChallenge Challenge(const FakeTpmDevice& device, pki::Purpose purpose) {
    return Issued(flow_->Begin(channel_, device.Begin(purpose), now_));
  }
  Answer<Admitted> Enrol(FakeTpmDevice& device, ProofOptions options = {}) {
    if (options.token.empty()) options.token = token_;
    const IssuedChallenge challenge = Challenge(device, pki::Purpose::kEnrol);
    return flow_->Prove(channel_, device.Prove(pki::Purpose::kEnrol, challenge, leaf_, options),
                        now_);
  }
  Answer<Admitted> Reattest(FakeTpmDevice& device, const ProofOptions& options = {}) {
    const IssuedChallenge challenge = Challenge(device, pki::Purpose::kReattest);
    return flow_->Prove(channel_, device.Prove(pki::Purpose::kReattest, challenge, leaf_, options),
                        now_);
  }
  Answer<Admitted> Renew(FakeTpmDevice& device, ProofOptions options = {}) {
    options.certify_again = true;
    const IssuedChallenge challenge = Issued(flow_->BeginRenewal(IdOf(device), now_));
    return flow_->Renew(IdOf(device), channel_,
                        device.Prove(pki::Purpose::kRenew, challenge, leaf_, options), now_);
  }
  static std::string IdOf(const FakeTpmDevice& device) {
    return pki::DeviceIdFromEk(pki::TrustDomain::Parse("edge.example").value(),
                               device.ek().public_key().spki())
        .text();
  }
  Admitted MustEnrol(FakeTpmDevice& device) {
    const Answer<Admitted> answer = Enrol(device);
    SP_CHECK(std::holds_alternative<Admitted>(answer));
    return std::get<Admitted>(answer);
  }

  // RuleOf returns the rule under the refusal's reference id in the audit, whatever the caller was
  // told.
  std::string RuleOf(const Refusal& refusal) {
    for (const AuditEntry& entry : Audit()) {
      const auto json = ParseJson(*entry.record);
      const JsonCursor record(*json);
      for (const char* const key : {"reference", "verdict"})
        if (record.Find(key) && record.GetString(key).value() == refusal.reference_id)
          return std::string(record.GetString("rule").value());
    }
    return "not audited";
  }
  template <typename T>
  std::string RuleOf(const Answer<T>& answer) {
    const auto* const refusal = std::get_if<Refusal>(&answer);
    return refusal == nullptr ? "admitted" : RuleOf(*refusal);
  }
  std::vector<AuditEntry> Audit() {
    SP_CHECK(database_->writer()
                 .Run([](Transaction&) { return Ok(); })
                 .has_value());  // behind what is queued
    auto snapshot = database_->Read();
    return ReadAudit(snapshot.value().connection(), 0, 1000).value();
  }
  std::optional<DeviceRecord> Stored(const FakeTpmDevice& device) {
    auto snapshot = database_->Read();
    return Devices(snapshot.value().connection()).Find(IdOf(device)).value();
  }
  int64_t Count(std::string_view sql) {
    auto snapshot = database_->Read();
    return snapshot.value().connection().QueryOne(sql, "i").value()->Integer(0);
  }

  UnixTime now_ = kStart;
  RateLimits limits_;
  bool vendor_profile_ = true;
  bool ima_ = false;  // class online shows its files; Restart makes it so
  Sha256Digest leaf_ = HashOf(0x77);
  Channel channel_{"192.0.2.9", {HashOf(0x77)}};
  FakeTpmVendor vendor_;
  MemoryFileSystem files_;
  EvidenceBlobs blobs_{files_, "/evidence"};
  RecordedEvents events_;
  pki::Hierarchy hierarchy_ =
      pki::CreateHierarchy({.trust_domain = pki::TrustDomain::Parse("edge.example").value()},
                           random_, kStart)
          .value();
  std::shared_ptr<const pki::DeviceLeafSigner> signer_ =
      std::make_shared<const pki::DeviceLeafSigner>(
          pki::DeviceLeafSigner::Make(hierarchy_.device_issuer,
                                      pki::TrustDomain::Parse("edge.example").value())
              .value());
  std::string token_;
  std::unique_ptr<EnrolmentFlow> flow_;
};

}  // namespace sallyport::server
