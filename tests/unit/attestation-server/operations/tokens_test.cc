// Tokens and listed endorsement keys, as operators make and end them.
#include "attestation-server/operations/tokens.h"

#include "attestation-server/enrolment/tokens.h"
#include "tests/unit/attestation-server/operations/operations_fixture.h"
#include "tests/unit/pki/x509/world.h"

namespace sallyport::server {
namespace {

class TokenOperationsTest : public OperationsTest {
 protected:
  static pki::EnrolmentFile Base(const pki::World& world) {
    pki::TrustBundle bundle = pki::BundleOf(world.hierarchy, world.domain, 1);
    const Sha256Digest root = bundle.PkiRootDigest();
    return {world.domain,
            true,
            {"control.example:7001", "control.example:7002", "control.example:7003"},
            {*pki::ServerSpiffeId(world.domain, "control")},
            root,
            std::move(bundle),
            ToBytes("image root"),
            ToBytes("director root"),
            ""};
  }
  TokenOrder Order() {
    return {.name = "berlin",
            .profile = "default",
            .placement = {"berlin", "online", {"camera"}},
            .device_name = "",
            .ek_sha256 = "",
            .count = 1,
            .expires = now_ + Hours(1),
            .auto_approve = false};
  }
  std::string RuleFor(const TokenOrder& order) {
    return RuleOf(operations_.Create(alice_.who, order, now_));
  }
  std::string StateOf(const std::string& id, UnixTime at) {
    const JsonValue rows = operations_.List("", 10, at).value();
    for (const JsonValue& row : *rows.if_array())
      if (*row.Find("id")->if_string() == id) return *row.Find("state")->if_string();
    return "absent";
  }

  pki::World world_;
  TokenOperations operations_{Parts(), Base(world_)};
};

TEST_F(TokenOperationsTest, SecretIsInTheFileAndItsHashInTheStore) {
  const auto created = operations_.Create(alice_.who, Order(), now_);

  ASSERT_TRUE(created.has_value());
  const auto file = pki::ParseEnrolmentFile(created->enrolment_file);
  ASSERT_TRUE(file.has_value()) << file.error().ToString();
  Snapshot snapshot = database_->Read().value();
  const auto found =
      Tokens(snapshot.connection()).FindBySecret(HashToken(file->token).value()).value();
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->id, created->id);
  EXPECT_EQ(found->created_by, alice_.who.id);
  const auto record = snapshot.connection().QueryOne("SELECT record FROM audit", "t").value();
  EXPECT_EQ(record->Text(0).find(file->token), std::string::npos) << "no secret in the audit";
}

TEST_F(TokenOperationsTest, LivesBetweenNowAndNinetyDays) {
  TokenOrder order = Order();
  for (const UnixTime wrong : {now_, now_ - Seconds(1), now_ + Days(90) + Seconds(1)}) {
    order.expires = wrong;
    EXPECT_EQ(RuleFor(order), "token.expiry") << wrong.ms;
  }
  order.expires = now_ + Days(90);
  EXPECT_EQ(RuleFor(order), "accepted");
}

TEST_F(TokenOperationsTest, HasOneToTenThousandUses) {
  TokenOrder order = Order();
  for (const int64_t wrong : {int64_t{0}, int64_t{-1}, int64_t{10'001}, INT64_MAX}) {
    order.count = wrong;
    EXPECT_EQ(RuleFor(order), "token.count") << wrong;
  }
  order.count = 10'000;
  EXPECT_EQ(RuleFor(order), "accepted");
}

TEST_F(TokenOperationsTest, ForANamedDeviceIsForOneDevice) {
  TokenOrder order = Order();
  order.device_name = "cam-1";
  order.count = 2;
  EXPECT_EQ(RuleFor(order), "token.device-name");
}

TEST_F(TokenOperationsTest, ApprovesByItselfOnlyForFewAndForADay) {
  TokenOrder order = Order();
  order.auto_approve = true;
  order.count = 101;
  EXPECT_EQ(RuleFor(order), "token.auto-approve");
  order.count = 100;
  order.expires = now_ + Hours(24) + Seconds(1);
  EXPECT_EQ(RuleFor(order), "token.auto-approve");
  order.expires = now_ + Hours(24);
  EXPECT_EQ(RuleFor(order), "accepted");
}

TEST_F(TokenOperationsTest, RefusesAnEndorsementKeyThatIsNoHash) {
  TokenOrder order = Order();
  for (const char* wrong : {"zz", "00", "0"}) {
    order.ek_sha256 = wrong;
    EXPECT_NE(RuleFor(order), "accepted") << wrong;
  }
  EXPECT_EQ(Count("SELECT COUNT(*) FROM tokens"), 0);
}

TEST_F(TokenOperationsTest, ListSaysWhatATokenIsGoodFor) {
  const std::string open = operations_.Create(alice_.who, Order(), now_)->id;
  const std::string spent = operations_.Create(alice_.who, Order(), now_)->id;
  const std::string revoked = operations_.Create(alice_.who, Order(), now_)->id;
  ASSERT_TRUE(Write([&](Transaction& t) -> Result<Unit> {
                return Tokens(t.connection()).Spend(spent, now_);
              }).has_value());
  ASSERT_TRUE(operations_.Revoke(alice_.who, revoked).has_value());

  EXPECT_EQ(StateOf(open, now_), "open");
  EXPECT_EQ(StateOf(open, now_ + Hours(1)), "expired");
  EXPECT_EQ(StateOf(spent, now_), "spent");
  EXPECT_EQ(StateOf(revoked, now_), "revoked");
}

TEST_F(TokenOperationsTest, RevokesOnlyWhatThereIs) {
  const auto revoked = operations_.Revoke(alice_.who, "no-such-token");

  ASSERT_FALSE(revoked.has_value());
  EXPECT_EQ(revoked.error().reason, Reason::kNotFound);
  EXPECT_EQ(Count("SELECT COUNT(*) FROM audit"), 0);
}

TEST_F(TokenOperationsTest, ListedKeyNamesWhoListedIt) {
  ListedEk entry;
  entry.ek_spki_hash = HashOf(7);
  entry.device_name = "cam-1";
  entry.profile = "default";
  entry.placement = {"berlin", "online", {}};

  ASSERT_TRUE(operations_.AllowEk(alice_.who, entry).has_value());

  Snapshot snapshot = database_->Read().value();
  const auto found = EkList(snapshot.connection()).Find(HashOf(7)).value();
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->created_by, alice_.who.id);
}

}  // namespace
}  // namespace sallyport::server
