// Proofs of a real TPM to a running sallyportd: what is replayed, altered or comes with a token
// that does not open the door is refused, and the device comes in all the same afterwards.
#include "tests/integration/proving_node.h"

namespace sallyport::testing_server {
namespace {

using ProofTest = ProvingNode;

TEST_F(ProofTest, OnlyAnHonestProofOfThisChallengeAndAnOpenTokenComeIn) {
  const std::string revoked = MakeToken("revoked");
  const auto done = deployment_.Ask({"token", "revoke", "revoked"});
  ASSERT_TRUE(done.has_value()) << done.error().ToString();
  const std::string token = MakeToken("good");

  const device::BeginAnswer first = Begin();
  ExpectRefused(first.challenge.ticket, Proof(first, revoked));
  EXPECT_THAT(LastRefusal(), ::testing::HasSubstr("token.revoked"));
  ExpectRefused(first.challenge.ticket, Proof(first, token, random_.Next<Nonce>()));
  EXPECT_THAT(LastRefusal(), ::testing::HasSubstr("activation.proof"));
  device::Evidence mixed = Proof(first, token, random_.Next<Nonce>());
  const std::vector<device::Quote> stale = std::move(mixed.quotes);
  mixed = Proof(first, token);
  mixed.quotes = stale;
  ExpectRefused(first.challenge.ticket, mixed);
  EXPECT_THAT(LastRefusal(), ::testing::HasSubstr("quote.extra-data"));
  Bytes forged = first.challenge.ticket;
  forged[forged.size() / 2] ^= 1;
  ExpectRefused(forged, Proof(first, token));
  EXPECT_THAT(LastRefusal(), ::testing::HasSubstr("ticket.foreign"));

  const device::Evidence honest = Proof(first, token);
  const auto admitted = client_->Prove(first.challenge.ticket, honest);
  ASSERT_TRUE(admitted.has_value()) << admitted.error().ToString() << LastRefusal();
  ASSERT_TRUE(admitted->certificate.has_value());

  // The same bytes get the same answer; other bytes get nothing for a ticket that is spent.
  const auto again = client_->Prove(first.challenge.ticket, honest);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->certificate->chain, admitted->certificate->chain);
  ExpectRefused(first.challenge.ticket, Proof(first, token));
  EXPECT_THAT(LastRefusal(), ::testing::HasSubstr("ticket.spent"));
  const device::BeginAnswer second = Begin();
  ExpectRefused(second.challenge.ticket, honest);
  EXPECT_THAT(*deployment_.Ask({"status", "--json"}), ::testing::HasSubstr("\"devices\":1"));
  EXPECT_TRUE(deployment_.Ask({"audit", "verify"}).has_value());
}

// The audit of a real proof leaves the house, and its verdict is reached again without the service.
TEST_F(ProofTest, IsJudgedAgainFromAnExportOfTheAudit) {
  const device::BeginAnswer begun = Begin();
  const device::Evidence evidence = Proof(begun, MakeToken("good"));
  ASSERT_TRUE(client_->Prove(begun.challenge.ticket, evidence).has_value()) << LastRefusal();
  const auto exported = deployment_.Ask({"audit", "export", "--out", At("export"), "--json"});
  ASSERT_TRUE(exported.has_value()) << exported.error().ToString();
  EXPECT_THAT(*exported, ::testing::HasSubstr("\"verdicts\":1"));
  const std::string bundle = deployment_.dir() + "/operator/trust-bundle.json";
  const auto checked = deployment_.Ask(
      {"audit", "verify", "--export", At("export"), "--trust-bundle", bundle, "--json"});
  ASSERT_TRUE(checked.has_value()) << checked.error().ToString();

  const auto names = files_.List(At("export") + "/verdicts");
  ASSERT_TRUE(names.has_value());
  ASSERT_EQ(names->size(), 1u);
  const std::string id = names->front().substr(0, names->front().find('.'));
  const auto again = deployment_.Ask({"evidence", "replay-verdict", "--id", id, "--export",
                                      At("export"), "--trust-bundle", bundle, "--json"});
  ASSERT_TRUE(again.has_value()) << again.error().ToString();
  EXPECT_THAT(*again, ::testing::HasSubstr("\"same\":true"));
}

class HighRangeTest : public ProvingNode, public ::testing::WithParamInterface<pki::EkTemplate> {
 protected:
  HighRangeTest() : ProvingNode({}, "", GetParam()) {}
};

TEST_P(HighRangeTest, ADeviceWithAnEkOfTheHighRangeComesIn) {
  const device::BeginAnswer begun = Begin();
  const auto answer = client_->Prove(begun.challenge.ticket, Proof(begun, MakeToken("cam")));

  ASSERT_TRUE(answer.has_value()) << answer.error().ToString() << LastRefusal();
  EXPECT_TRUE(answer->certificate.has_value());
}

INSTANTIATE_TEST_SUITE_P(Templates, HighRangeTest,
                         ::testing::Values(pki::EkTemplate::kH2P256, pki::EkTemplate::kH3P384,
                                           pki::EkTemplate::kH6Rsa3072),
                         [](const auto& tested) {
                           std::string name(pki::EkTemplateName(tested.param));
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace sallyport::testing_server
