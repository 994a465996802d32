// Who may change what a class of devices is judged by, and what it takes.
#include "attestation-server/operations/references.h"

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
