// From a failed boot to the set that accepts it, and what never becomes one.
#include "attestation-server/operations/reference_proposal.h"

#include <gmock/gmock.h>

#include "attestation-server/operations/devices.h"
#include "attestation-server/operations/references.h"
#include "attestation-server/reference/reference_file.h"
#include "attestation-server/store/learning.h"
#include "tests/unit/attestation-server/enrolment/flow_fixture.h"

namespace sallyport::server {
namespace {

class ReferenceProposalTest : public FlowTest {
 protected:
  std::string EdgeToken() {
    TokenRecord record;
    record.placement = {"berlin", "edge", {}};
    return MakeToken(record);
  }
  struct Person {
    explicit Person(const std::string& name)
        : key(pki::PrivateKey::Generate(pki::KeyType::kP256).value()),
          who{"spiffe://edge.example/operator/" + name, OperatorRole::kAdmin, key.public_key()} {}
    pki::PrivateKey key;
    Operator who;
  };

  OperationParts Parts() { return {*database_, random_, events_}; }
  void BringIn(FakeTpmDevice& device) {
    token_ = MakeToken({});
    MustEnrol(device);
  }
  // BootAndFail boots `image` and returns the id of the failed verdict.
  std::string BootAndFail(FakeTpmDevice& device, std::string_view image) {
    device.Boot(image);
    now_ = now_ + Seconds(1);
    const Answer<Admitted> answer = Reattest(device);
    SP_CHECK(RefusalOf(answer) != nullptr);
    return RefusalOf(answer)->reference_id;
  }
  std::string Again(FakeTpmDevice& device, std::string_view image) {
    device.Boot(image);
    now_ = now_ + Seconds(1);
    return RuleOf(Reattest(device));
  }
  Result<JsonValue> Propose(const std::string& verdict, const ProposalScope& scope = {}) {
    return ReferenceProposals(*database_, blobs_).Propose(verdict, scope);
  }
  std::string Refused(const std::string& verdict, const ProposalScope& scope = {}) {
    const auto proposed = Propose(verdict, scope);
    return proposed ? "proposed" : std::string(proposed.error().name());
  }
  static std::string JsonOf(const JsonValue& proposal) {
    return std::string(JsonCursor(proposal).GetString("json").value());
  }
  std::vector<SignedApproval> Signed(const Person& person, const std::string& json) {
    return {MakeApproval(person.key, person.who.id, kReferenceApproveAction,
                         pki::Sha256(AsBytes(json)), now_ + Hours(1))
                .value()};
  }
  Result<JsonValue> Import(const Person& person, const std::string& json) {
    return references_.Import(person.who, "online", AsBytes(json), Signed(person, json), now_);
  }
  Result<JsonValue> Approve(const Person& person, const std::string& json) {
    return references_.Approve(person.who, HexEncode(pki::Sha256(AsBytes(json))),
                               Signed(person, json), now_);
  }

  Person alice_{"alice"}, bob_{"bob"};
  FakeTpmDevice device_{vendor_}, neighbour_{vendor_};
  ReferenceOperations references_{Parts(), kReferenceApprovals, [] {}};
  DeviceOperations devices_{
      Parts(), {[](const std::string&) { return false; }, [](const std::string&) { return ""; }}};
};

TEST_F(ReferenceProposalTest, TwoOperatorsAcceptABootForExactlyItsDevice) {
  BringIn(device_);
  BringIn(neighbour_);
  const std::string json = JsonOf(Propose(BootAndFail(device_, "uki 2")).value());

  ASSERT_TRUE(Import(alice_, json).has_value());
  EXPECT_EQ(Again(device_, "uki 2"), "pcr.4") << "one operator alone admits nothing";
  ASSERT_TRUE(Approve(alice_, json).has_value());
  EXPECT_EQ(Again(device_, "uki 2"), "pcr.4") << "nor does the same one twice";
  ASSERT_TRUE(Approve(bob_, json).has_value());

  EXPECT_EQ(RuleOf(Reattest(device_)), "quarantine.same-boot");
  EXPECT_EQ(Again(device_, "uki 2"), "admitted");
  EXPECT_TRUE(Stored(device_)->causes.empty());
  EXPECT_EQ(Again(device_, "uki 1"), "admitted") << "what it ran before is still its own";
  EXPECT_EQ(Again(device_, "uki 3"), "pcr.4");
  EXPECT_EQ(Again(neighbour_, "uki 2"), "pcr.4");
}

TEST_F(ReferenceProposalTest, NothingIsStoredByAProposal) {
  BringIn(device_);
  const std::string verdict = BootAndFail(device_, "uki 2");
  const int64_t before = Count("SELECT COUNT(*) FROM reference_sets");
  EXPECT_TRUE(Propose(verdict).has_value());
  EXPECT_EQ(Count("SELECT COUNT(*) FROM reference_sets"), before);
  EXPECT_EQ(Again(device_, "uki 2"), "pcr.4");
}

TEST_F(ReferenceProposalTest, KeepsWhatDidNotDiffer) {
  BringIn(device_);
  const JsonValue proposal = Propose(BootAndFail(device_, "uki 2")).value();
  const ReferenceFile seen = ParseReferenceFile(JsonOf(proposal)).value();
  const ReferenceFile base = ParseReferenceFile(ReferenceJson("uki 1", "online")).value();
  EXPECT_EQ(seen.devices, std::vector<std::string>{IdOf(device_)});
  EXPECT_EQ(seen.expectation.pcrs.size(), base.expectation.pcrs.size());
  EXPECT_EQ(std::get<PcrValueExpected>(seen.expectation.pcrs.at(0)),
            std::get<PcrValueExpected>(base.expectation.pcrs.at(0)));
  EXPECT_EQ(JsonCursor(proposal).GetElements("pcrs")->size(), 1u);
}

TEST_F(ReferenceProposalTest, NamesEveryDeviceThatShowsTheSame) {
  BringIn(device_);
  BringIn(neighbour_);
  FakeTpmDevice other(vendor_);
  BringIn(other);
  BootAndFail(neighbour_, "uki 2");
  BootAndFail(other, "uki 3");
  const std::string verdict = BootAndFail(device_, "uki 2");

  const std::string json = JsonOf(Propose(verdict, {.all_same = true}).value());
  std::vector<std::string> both{IdOf(device_), IdOf(neighbour_)};
  std::ranges::sort(both);
  EXPECT_EQ(ParseReferenceFile(json)->devices, both);

  ASSERT_TRUE(Import(alice_, json).has_value());
  ASSERT_TRUE(Approve(bob_, json).has_value());
  EXPECT_EQ(Again(neighbour_, "uki 2"), "admitted");
  EXPECT_EQ(Again(device_, "uki 2"), "admitted");
  EXPECT_EQ(Again(other, "uki 2"), "pcr.4");
}

TEST_F(ReferenceProposalTest, AWholeClassIsAskedForByName) {
  BringIn(device_);
  BringIn(neighbour_);
  const std::string verdict = BootAndFail(device_, "uki 2");
  const std::string json = JsonOf(Propose(verdict, {.whole_class = true}).value());
  EXPECT_TRUE(ParseReferenceFile(json)->devices.empty());
  ASSERT_TRUE(Import(alice_, json).has_value());
  ASSERT_TRUE(Approve(bob_, json).has_value());
  EXPECT_EQ(Again(neighbour_, "uki 2"), "admitted");
  EXPECT_EQ(Refused(verdict, {.whole_class = true, .all_same = true}), "proposal.scope");
}

TEST_F(ReferenceProposalTest, WhatIsNotALackOfReferenceValuesIsNeverProposed) {
  BringIn(device_);
  device_.Boot("uki 2");
  now_ = now_ + Seconds(1);
  Bytes cut = device_.event_log();
  cut.pop_back();
  Answer<Admitted> answer = Reattest(device_, {.other_log = cut});
  EXPECT_EQ(Refused(RefusalOf(answer)->reference_id), "proposal.authenticity");
  now_ = now_ + Seconds(1);
  answer = Reattest(device_, {.other_log = BootLog("uki 1").bytes()});
  ASSERT_NE(RefusalOf(answer), nullptr);
  EXPECT_EQ(Refused(RefusalOf(answer)->reference_id), "proposal.authenticity")
      << RuleOf(answer) << ": the log is not the one of the quoted PCRs";
}

TEST_F(ReferenceProposalTest, PassesAndUnknownVerdictsAndForeignDevicesAreRefused) {
  BringIn(device_);
  std::string passed;
  {
    auto snapshot = database_->Read();
    passed = ListVerdicts(snapshot.value().connection(), IdOf(device_), 1).value().at(0).id;
  }
  EXPECT_EQ(Refused(passed), "proposal.passed");
  EXPECT_EQ(Refused("none"), "verdict.unknown");
  const std::string verdict = BootAndFail(device_, "uki 2");
  EXPECT_EQ(Refused(verdict, {.devices = {"nobody"}}), "device.unknown");
  token_ = EdgeToken();
  Must([](Connection& c) -> Result<Unit> {
    ReferenceRow row;
    row.device_class = "edge";
    row.json = ReferenceJson("uki 1", "edge");
    row.id = pki::Sha256(AsBytes(row.json));
    row.state = ReferenceState::kActive;
    return References(c).Insert(row);
  });
  MustEnrol(neighbour_);
  EXPECT_EQ(Refused(verdict, {.devices = {IdOf(neighbour_)}}), "proposal.class");
}

TEST_F(ReferenceProposalTest, AReleaseIsOverruledForDevicesOnly) {
  BringIn(device_);
  ReferenceRow row;
  row.device_class = "*";
  row.json = ReferenceJson("uki 2", "online");
  row.id = pki::Sha256(AsBytes(row.json));
  row.state = ReferenceState::kCandidate;
  row.release = ReleaseDigest::FromArray(HashOf(5).array());
  Must([&](Connection& c) -> Result<Unit> {
    SP_TRY(References(c).Insert(row));
    return References(c).Assign(IdOf(device_), ReferenceRole::kCommitted, row.id);
  });
  const std::string verdict = BootAndFail(device_, "uki 3");
  EXPECT_EQ(Refused(verdict, {.whole_class = true}), "proposal.release");
  const Error refused = Propose(verdict, {.whole_class = true}).error();
  EXPECT_THAT(refused.detail,
              testing::HasSubstr("accept it for devices (--device NAME, or --same)"));
  const std::string json = JsonOf(Propose(verdict).value());
  ASSERT_TRUE(Import(alice_, json).has_value());
  ASSERT_TRUE(Approve(bob_, json).has_value());
  EXPECT_EQ(Again(device_, "uki 3"), "admitted");
  EXPECT_EQ(Again(device_, "uki 2"), "admitted");
}

TEST_F(ReferenceProposalTest, ExplainNamesTheDifferenceWhoElseShowsItAndTheCommand) {
  BringIn(device_);
  BringIn(neighbour_);
  BootAndFail(neighbour_, "uki 2");
  const UnixTime first = now_;
  const std::string verdict = BootAndFail(device_, "uki 2");
  const JsonValue explained = devices_.Explain(IdOf(device_), now_).value();
  const JsonCursor json(explained);
  const std::vector<std::string> summary = json.GetStrings("summary").value();
  ASSERT_EQ(summary.size(), 3u);
  EXPECT_NE(summary[0].find("quarantined (posture)"), std::string::npos) << summary[0];
  EXPECT_NE(summary[0].find("none that this device may run"), std::string::npos) << summary[0];
  const std::string own = HexEncode(pki::Sha256(AsBytes("uki 2"))).substr(0, 16);
  EXPECT_NE(summary[1].find("boot image " + own + ".. "), std::string::npos) << summary[1];
  EXPECT_NE(summary[1].find("PCR 4 event "), std::string::npos) << summary[1];
  EXPECT_NE(summary[1].find("of class online, which expects"), std::string::npos) << summary[1];
  EXPECT_NE(summary[1].find("1 other device shows it since " + FormatRfc3339(first)),
            std::string::npos)
      << summary[1];
  EXPECT_NE(summary[2].find("sallyport reference accept " + verdict + " --same"), std::string::npos)
      << summary[2];
  EXPECT_EQ(json.Member("accept")->GetInteger("devices").value(), 2);
}

TEST_F(ReferenceProposalTest, ADeviceThatPassesHasNothingToAccept) {
  BringIn(device_);
  BootAndFail(device_, "uki 2");
  ASSERT_EQ(Again(device_, "uki 1"), "admitted");
  const JsonValue explained = devices_.Explain(IdOf(device_), now_).value();
  EXPECT_EQ(explained.Find("accept")->kind(), JsonValue::Kind::kNull);
  EXPECT_EQ(JsonCursor(explained).GetStrings("summary")->size(), 1u);
}

TEST_F(ReferenceProposalTest, APassingRenewalWritesNoObservation) {
  BringIn(device_);
  now_ = now_ + Seconds(1);
  ASSERT_EQ(RuleOf(Renew(device_)), "admitted");
  EXPECT_EQ(Count("SELECT COUNT(*) FROM observed_digests"), 0);
}

}  // namespace
}  // namespace sallyport::server
