// Who may change what a class of devices is judged by, and what it takes.
#include "attestation-server/operations/references.h"

#include "attestation-server/store/learning.h"
#include "tests/unit/attestation-server/operations/operations_fixture.h"

namespace sallyport::server {
namespace {

constexpr std::string_view kReference =
    R"({"sallyport":"reference/v1","class":"online","bank":"sha256","pcrs":{"7":{"value":")"
    "0000000000000000000000000000000000000000000000000000000000000007\"}}}";

class ReferenceOperationsTest : public OperationsTest {
 protected:
  ReferenceOperations Operations(size_t needed) {
    return ReferenceOperations(Parts(), needed, [this] { ++changes_; });
  }
  std::string Import(const Person& person, std::string_view device_class = "online",
                     std::string_view json = kReference) {
    return RuleOf(operations_.Import(
        person.who, device_class, AsBytes(json),
        Approved(person, "reference.approve", pki::Sha256(AsBytes(json))), now_));
  }
  std::string Approve(const Person& person) {
    return RuleOf(operations_.Approve(person.who, HexEncode(id_),
                                      Approved(person, "reference.approve", id_), now_));
  }
  std::string Retire(const Person& person) {
    return RuleOf(operations_.Retire(person.who, HexEncode(id_),
                                     Approved(person, "reference.retire", id_), now_));
  }
  // With is the file with one more member.
  static std::string With(const std::string& member) {
    return "{" + member + "," + std::string(kReference.substr(1));
  }
  std::string StateOf(const Sha256Digest& id) {
    Snapshot snapshot = database_->Read().value();
    return std::string(TextOf(References(snapshot.connection()).Find(id).value()->state));
  }
  // Judged is how many sets a device of the class is judged by.
  size_t Judged() {
    Snapshot snapshot = database_->Read().value();
    return References(snapshot.connection()).ForDevice("nobody", "online").value().size();
  }

  int changes_ = 0;
  const Sha256Digest id_ = pki::Sha256(AsBytes(kReference));
  ReferenceOperations operations_ = Operations(kReferenceApprovals);
};

TEST_F(ReferenceOperationsTest, OneOperatorAloneAdmitsNoBoot) {
  ASSERT_EQ(Import(alice_), "accepted");
  EXPECT_EQ(StateOf(id_), "candidate");
  EXPECT_EQ(Approve(alice_), "accepted") << "a second approval of the same operator is no second";
  EXPECT_EQ(StateOf(id_), "candidate");
  EXPECT_EQ(Judged(), 0u);
}

TEST_F(ReferenceOperationsTest, ASecondOperatorBringsACandidateIntoForce) {
  ASSERT_EQ(Import(alice_), "accepted");
  ASSERT_EQ(Approve(bob_), "accepted");
  EXPECT_EQ(StateOf(id_), "active");
  EXPECT_EQ(Judged(), 1u);
  EXPECT_EQ(changes_, 2);
  EXPECT_EQ(Count("SELECT COUNT(*) FROM audit WHERE event = 'approval'"), 2);
  EXPECT_EQ(Count("SELECT COUNT(*) FROM audit WHERE event = 'reference.active'"), 1);
}

TEST_F(ReferenceOperationsTest, AnApprovalThatHasRunOutDoesNotCount) {
  ASSERT_EQ(Import(alice_), "accepted");
  now_ = now_ + Hours(1);
  ASSERT_EQ(Approve(bob_), "accepted");
  EXPECT_EQ(StateOf(id_), "candidate");
}

TEST_F(ReferenceOperationsTest, InDevelopmentOneOperatorIsEnough) {
  ReferenceOperations alone = Operations(kReferenceApprovalsInDevelopment);
  ASSERT_EQ(RuleOf(alone.Import(alice_.who, "online", AsBytes(kReference),
                                Approved(alice_, "reference.approve", id_), now_)),
            "accepted");
  EXPECT_EQ(StateOf(id_), "active");
}

TEST_F(ReferenceOperationsTest, RetiringTakesTwoOperatorsAndIsForGood) {
  ASSERT_EQ(Import(alice_), "accepted");
  ASSERT_EQ(Approve(bob_), "accepted");
  ASSERT_EQ(Retire(alice_), "accepted");
  EXPECT_EQ(Judged(), 1u) << "one operator alone cuts off no fleet";
  ASSERT_EQ(Retire(bob_), "accepted");
  EXPECT_EQ(StateOf(id_), "retired");
  EXPECT_EQ(Judged(), 0u);
  EXPECT_EQ(Retire(bob_), "reference.state");
  EXPECT_EQ(Approve(bob_), "reference.state");
  EXPECT_NE(Import(alice_), "accepted");
  EXPECT_EQ(StateOf(id_), "retired");
}

TEST_F(ReferenceOperationsTest, ApprovalIsTheCallersOwnForThisActOnThisSet) {
  ASSERT_EQ(Import(alice_), "accepted");
  const auto approve = [&](const std::vector<SignedApproval>& approvals) {
    return RuleOf(operations_.Approve(bob_.who, HexEncode(id_), approvals, now_));
  };
  EXPECT_EQ(approve({}), "approval.missing");
  EXPECT_EQ(approve(Approved(alice_, "reference.approve", id_)), "approval.signature");
  EXPECT_EQ(approve(Approved(bob_, "reference.retire", id_)), "approval.action");
  EXPECT_EQ(approve(Approved(bob_, "reference.approve", HashOf(1))), "approval.digest");
  EXPECT_EQ(StateOf(id_), "candidate");
}

TEST_F(ReferenceOperationsTest, ImportNeedsTheCallersApprovalOfTheBytes) {
  const auto import = [&](const std::vector<SignedApproval>& approvals) {
    return RuleOf(operations_.Import(alice_.who, "online", AsBytes(kReference), approvals, now_));
  };
  EXPECT_EQ(import({}), "approval.missing");
  EXPECT_EQ(import(Approved(bob_, "reference.approve", id_)), "approval.signature");
  EXPECT_EQ(import(Approved(alice_, "reference.approve", HashOf(1))), "approval.digest");
  EXPECT_EQ(Count("SELECT COUNT(*) FROM reference_sets"), 0);
}

TEST_F(ReferenceOperationsTest, FileIsOfTheNamedClassAndParses) {
  EXPECT_EQ(Import(alice_, "edge"), "reference.class");
  EXPECT_NE(Import(alice_, "online", "{}"), "accepted");
  EXPECT_EQ(Count("SELECT COUNT(*) FROM reference_sets"), 0);
}

TEST_F(ReferenceOperationsTest, UnknownIdsAreNamed) {
  EXPECT_EQ(Approve(alice_), "reference.unknown");
  EXPECT_EQ(Retire(alice_), "reference.unknown");
  EXPECT_EQ(RuleOf(operations_.Approve(alice_.who, "zz", {}, now_)), "reference.id");
}

TEST_F(ReferenceOperationsTest, ValuesOfAReleaseAreOpenedByARolloutOnly) {
  ASSERT_TRUE(Write([&](Transaction& t) {
                return References(t.connection())
                    .Insert({id_, "*", ReferenceState::kCandidate, std::string(kReference),
                             ReleaseDigest::FromArray(HashOf(5).array()), now_});
              }).has_value());
  EXPECT_EQ(Approve(alice_), "reference.release");
  EXPECT_EQ(StateOf(id_), "candidate");
}

TEST_F(ReferenceOperationsTest, ASetForDevicesJudgesThemAloneAndOnlyOnceApproved) {
  Keep(MakeDevice(1));
  const std::string json = With("\"devices\":[\"" + MakeDevice(1).id + "\"]");
  const Sha256Digest id = pki::Sha256(AsBytes(json));
  const auto judged = [&](const std::string& device) {
    Snapshot snapshot = database_->Read().value();
    return References(snapshot.connection()).ForDevice(device, "online").value().size();
  };
  ASSERT_EQ(Import(alice_, "online", json), "accepted");
  EXPECT_EQ(judged(MakeDevice(1).id), 0u);
  ASSERT_EQ(RuleOf(operations_.Approve(bob_.who, HexEncode(id),
                                       Approved(bob_, "reference.approve", id), now_)),
            "accepted");
  EXPECT_EQ(judged(MakeDevice(1).id), 1u);
  EXPECT_EQ(Judged(), 0u) << "nobody else of the class";
}

TEST_F(ReferenceOperationsTest, DevicesAndSetsThatAFileNamesAreThereAndOfItsClass) {
  EXPECT_EQ(Import(alice_, "online", With("\"devices\":[\"" + MakeDevice(1).id + "\"]")),
            "device.unknown");
  DeviceRecord other = MakeDevice(2);
  other.placement.device_class = "edge";
  Keep(other);
  EXPECT_EQ(Import(alice_, "online", With("\"devices\":[\"" + other.id + "\"]")),
            "reference.device");
  EXPECT_EQ(Import(alice_, "online", With("\"supersedes\":[\"" + HexEncode(HashOf(1)) + "\"]")),
            "reference.supersedes");
}

TEST_F(ReferenceOperationsTest, ANewerSetSupersedesAnOlderOneWithAnOverlap) {
  ASSERT_EQ(Import(alice_), "accepted");
  ASSERT_EQ(Approve(bob_), "accepted");
  const std::string newer = With("\"supersedes\":[\"" + HexEncode(id_) + "\"]");
  const Sha256Digest newer_id = pki::Sha256(AsBytes(newer));
  ASSERT_EQ(Import(alice_, "online", newer), "accepted");
  EXPECT_EQ(StateOf(id_), "active") << "a candidate supersedes nothing";
  ASSERT_EQ(RuleOf(operations_.Approve(bob_.who, HexEncode(newer_id),
                                       Approved(bob_, "reference.approve", newer_id), now_)),
            "accepted");
  EXPECT_EQ(StateOf(id_), "retiring");
  EXPECT_EQ(Judged(), 2u) << "devices that were away still pass";
  EXPECT_EQ(operations_.RetireAged(now_ + kReferenceOverlap - Milliseconds(1)).value(), 0u);
  EXPECT_EQ(operations_.RetireAged(now_ + kReferenceOverlap).value(), 1u);
  EXPECT_EQ(StateOf(id_), "retired");
  EXPECT_EQ(Judged(), 1u);
  EXPECT_EQ(Count("SELECT COUNT(*) FROM audit WHERE event = 'reference.retiring'"), 1);
  EXPECT_EQ(Count("SELECT COUNT(*) FROM audit WHERE event = 'reference.retired'"), 1);
}

TEST_F(ReferenceOperationsTest, WithdrawingTheNewerSetReinstatesTheOlder) {
  ReferenceOperations alone = Operations(kReferenceApprovalsInDevelopment);
  const auto import = [&](const std::string& json) {
    return RuleOf(alone.Import(alice_.who, "online", AsBytes(json),
                               Approved(alice_, "reference.approve", pki::Sha256(AsBytes(json))),
                               now_));
  };
  ASSERT_EQ(import(std::string(kReference)), "accepted");
  const std::string newer = With("\"supersedes\":[\"" + HexEncode(id_) + "\"]");
  const Sha256Digest newer_id = pki::Sha256(AsBytes(newer));
  ASSERT_EQ(import(newer), "accepted");
  ASSERT_EQ(StateOf(id_), "retiring");
  ASSERT_EQ(RuleOf(alone.Retire(alice_.who, HexEncode(newer_id),
                                Approved(alice_, "reference.retire", newer_id), now_)),
            "accepted");
  EXPECT_EQ(StateOf(id_), "active");
  EXPECT_EQ(operations_.RetireAged(now_ + kReferenceOverlap).value(), 0u);
  EXPECT_EQ(StateOf(id_), "active");
}

TEST_F(ReferenceOperationsTest, ASetStaysSupersededWhileAnyNewerOneIsInForce) {
  ReferenceOperations alone = Operations(kReferenceApprovalsInDevelopment);
  const auto import = [&](const std::string& json) {
    const Sha256Digest id = pki::Sha256(AsBytes(json));
    EXPECT_EQ(RuleOf(alone.Import(alice_.who, "online", AsBytes(json),
                                  Approved(alice_, "reference.approve", id), now_)),
              "accepted");
    return id;
  };
  const auto retire = [&](const Sha256Digest& id) {
    return RuleOf(
        alone.Retire(alice_.who, HexEncode(id), Approved(alice_, "reference.retire", id), now_));
  };
  const std::string naming = "\"supersedes\":[\"" + HexEncode(id_) + "\"]";
  import(std::string(kReference));
  const Sha256Digest one = import(With(naming));
  const Sha256Digest two = import(With(naming + " "));
  const Sha256Digest three = import(With("\"supersedes\":[\"" + HexEncode(two) + "\"]"));
  ASSERT_EQ(StateOf(id_), "retiring");
  ASSERT_EQ(StateOf(two), "retiring");

  ASSERT_EQ(retire(one), "accepted");
  EXPECT_EQ(StateOf(id_), "retiring") << "the other still judges, though it is superseded itself";
  ASSERT_EQ(retire(three), "accepted");
  EXPECT_EQ(StateOf(two), "active");
  EXPECT_EQ(StateOf(id_), "retiring");
  ASSERT_EQ(retire(two), "accepted");
  EXPECT_EQ(StateOf(id_), "active") << "nothing supersedes it any more";
}

TEST_F(ReferenceOperationsTest, ALearnedSetNeedsItsWindowClosedAndTwoOperators) {
  ASSERT_TRUE(operations_.Learn(alice_.who, "online", now_ + Hours(1), now_).has_value());
  ASSERT_TRUE(Write([&](Transaction& t) -> Result<Unit> {
                ReferenceRow row{
                    id_,          "online", ReferenceState::kLearning, std::string(kReference),
                    std::nullopt, now_};
                SP_TRY(Capture(t.connection(), row, MakeDevice(1).id));
                return Unit{};
              }).has_value());
  EXPECT_EQ(Approve(alice_), "reference.state");
  EXPECT_EQ(Approve(bob_), "reference.state");
  EXPECT_EQ(Judged(), 0u);

  const JsonValue closed = operations_.StopLearning(alice_.who, "online").value();
  EXPECT_EQ(JsonCursor(closed).GetStrings("candidates").value(),
            std::vector<std::string>{HexEncode(id_)});
  EXPECT_EQ(StateOf(id_), "candidate");
  EXPECT_EQ(Judged(), 0u);
  ASSERT_EQ(Approve(alice_), "accepted");
  EXPECT_EQ(Judged(), 0u) << "whoever closed the window is one operator like any other";
  ASSERT_EQ(Approve(bob_), "accepted");
  EXPECT_EQ(Judged(), 1u);
  EXPECT_EQ(Count("SELECT COUNT(*) FROM audit WHERE event LIKE 'learning.%'"), 2);
  EXPECT_EQ(RuleOf(operations_.StopLearning(alice_.who, "online")), "learning.closed");
}

TEST_F(ReferenceOperationsTest, AWindowEndsWithinSevenDays) {
  EXPECT_EQ(RuleOf(operations_.Learn(alice_.who, "online", now_, now_)), "learning.time");
  EXPECT_EQ(RuleOf(operations_.Learn(alice_.who, "online", now_ + kLearningMax + Seconds(1), now_)),
            "learning.time");
  EXPECT_EQ(RuleOf(operations_.Learn(alice_.who, "", now_ + Hours(1), now_)), "learning.time");
}

TEST_F(ReferenceOperationsTest, ShowsASetWithItsValuesAndWhoTaughtIt) {
  ASSERT_EQ(Import(alice_), "accepted");
  const JsonValue shown = operations_.Show(HexEncode(id_)).value();
  EXPECT_EQ(*shown.Find("json")->if_string(), kReference);
  EXPECT_TRUE(shown.Find("learned_from")->if_array()->empty());
  EXPECT_EQ(RuleOf(operations_.Show(HexEncode(HashOf(1)))), "reference.unknown");
}

TEST_F(ReferenceOperationsTest, ListsSetsOfEveryClassWithTheirState) {
  ASSERT_EQ(Import(alice_), "accepted");
  const auto listed = operations_.List(10);
  ASSERT_TRUE(listed.has_value()) << listed.error().ToString();
  const JsonValue& row = (*listed->if_array())[0];
  EXPECT_EQ(*row.Find("id")->if_string(), HexEncode(id_));
  EXPECT_EQ(*row.Find("class")->if_string(), "online");
  EXPECT_EQ(*row.Find("state")->if_string(), "candidate");
}

}  // namespace
}  // namespace sallyport::server
