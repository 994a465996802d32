// Proofs of a real TPM to a running sallyportd: what is replayed, altered or comes with a token
// that does not open the door is refused, and the device comes in all the same afterwards.
#include <algorithm>

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

// Field is a member of the JSON that a command prints; of its first row when it prints a list.
std::string Field(const std::string& printed, std::string_view key) {
  const size_t start = printed.find_first_of("{[");  // what goes to standard error may stand around
  const JsonValue json = *ParseJson(printed.substr(start, printed.find_last_of("}]") + 1 - start));
  const JsonCursor rows(json);
  const JsonCursor row = json.if_array() != nullptr ? rows.Elements()->front() : rows;
  return std::string(*row.GetString(key));
}

// What operators do with a device whose boot nobody approved: read why, approve it, learn others.
TEST_F(ProofTest, AnUnknownBootIsExplainedAndAcceptedByCommand) {
  const std::string token = MakeToken("good");
  const device::BeginAnswer first = Begin();
  ASSERT_TRUE(client_->Prove(first.challenge.ticket, Proof(first, token))) << LastRefusal();
  const std::string device = Field(*deployment_.Ask({"device", "list", "--json"}), "id");
  const std::string good = Field(*deployment_.Ask({"reference", "list", "--json"}), "id");
  EXPECT_THAT(*deployment_.Ask({"reference", "show", good}), ::testing::HasSubstr("active"));
  std::string other = ToString(*ReadFile(files_, At("reference.json"), 1 << 20));
  const size_t value = other.find("\"11\":{\"value\":\"") + 15;
  other.replace(value, 64, std::string(64, '0'));
  ASSERT_TRUE(WriteFileAtomically(files_, At("other.json"), AsBytes(other)).has_value());
  ASSERT_TRUE(deployment_.Ask(
      {"reference", "import", At("other.json"), "--class", "online", "--supersedes", good}));
  EXPECT_THAT(*deployment_.Ask({"reference", "list"}), ::testing::HasSubstr("retiring"));
  ASSERT_TRUE(deployment_.Ask({"reference", "retire", good}));

  const device::BeginAnswer second = Begin();
  ExpectRefused(second.challenge.ticket, Proof(second, token));
  EXPECT_THAT(LastRefusal(), ::testing::HasSubstr("pcr.11"));
  const std::string explained = *deployment_.Ask({"device", "explain", device});
  EXPECT_THAT(explained, ::testing::HasSubstr("PCR 11: holds "));
  const std::string command = "sallyport reference accept ";
  const size_t at = explained.find(command);
  ASSERT_NE(at, std::string::npos) << explained;
  const std::string verdict = explained.substr(at + command.size(), 32);
  const std::string ear = *deployment_.Ask({"device", "explain", device, "--ear"});
  EXPECT_EQ(std::ranges::count(ear, '.'), 2);
  const auto accepted = deployment_.Ask({"reference", "accept", verdict, "--json"});
  ASSERT_TRUE(accepted.has_value()) << accepted.error().ToString();
  EXPECT_EQ(Field(*accepted, "state"), "active");

  // The values fit now; the boot that failed is still the boot that failed.
  const device::BeginAnswer third = Begin();
  ExpectRefused(third.challenge.ticket, Proof(third, token));
  EXPECT_THAT(LastRefusal(), ::testing::HasSubstr("quarantine.same-boot"));
  EXPECT_TRUE(deployment_.Ask(
      {"reference", "import", At("other.json"), "--class", "online", "--device", device}));
  EXPECT_TRUE(deployment_.Ask({"reference", "learn", "--class", "online", "--for", "1h"}));
  EXPECT_TRUE(deployment_.Ask({"reference", "learn", "--class", "online", "--close"}));
  EXPECT_TRUE(deployment_.Ask({"audit", "verify"}));
}

// The event digests of a release become a set of a class only when its repository's keys signed it.
TEST_F(ProofTest, ValuesOfAReleaseComeFromASignedRepositoryAlone) {
  const std::string repository = At("elsewhere");
  const auto ask = [this](const std::vector<std::string>& command) {
    const auto done = deployment_.Ask(command);
    EXPECT_TRUE(done.has_value()) << command[1] << ": " << done.error().ToString();
  };
  ask({"release", "keys", "found", "--keys", At("keys"), "--repository", repository,
       "--trust-domain", "edge.example", "--development", "--threshold", "1", "--unsealed"});
  ask({"release", "create", "--repository", repository, "--product", "edge-os", "--version",
       "1.0.0", "--hardware", "virtual-x86_64", "--uki", At("1.efi"), "--image", At("1.img")});
  const std::string folder = repository + "/targets/releases/edge-os/1.0.0";
  const std::vector<std::string> names = *files_.List(folder);
  const auto json = std::ranges::find_if(
      names, [](const std::string& name) { return name.ends_with("release.json"); });
  ASSERT_NE(json, names.end());
  std::string platform = ToString(*ReadFile(files_, At("reference.json"), 1 << 20));
  platform.insert(1, "\"secure_boot\":false,");
  ASSERT_TRUE(WriteFileAtomically(files_, At("platform.json"), AsBytes(platform)).has_value());
  const std::string base = Field(
      *deployment_.Ask({"reference", "import", At("platform.json"), "--class", "online", "--json"}),
      "id");
  const std::vector<std::string> import{
      "reference",    "import",   "--release", folder + "/" + *json,
      "--repository", repository, "--root",    repository + "/metadata/1.root.json",
      "--on",         base,       "--class",   "online"};
  const auto unsigned_file = deployment_.Ask(import);
  ASSERT_FALSE(unsigned_file.has_value());
  EXPECT_THAT(unsigned_file.error().detail,
              ::testing::HasSubstr("is not signed in the repository"));

  ask({"release", "sign", "--repository", repository, "--key", At("keys/offline/targets-1.pem")});
  ask({"release", "publish", "--repository", repository, "--keys", At("keys")});
  const auto imported = deployment_.Ask(import);
  ASSERT_TRUE(imported.has_value()) << imported.error().ToString();
  EXPECT_THAT(*imported, ::testing::HasSubstr("active"));
  const auto bare = deployment_.Ask({"reference", "import", "--release", folder + "/" + *json,
                                     "--on", base, "--class", "online"});
  ASSERT_FALSE(bare.has_value());
  EXPECT_THAT(bare.error().detail, ::testing::HasSubstr("--repository and --root"));

  const auto explained =
      deployment_.Ask({"explain", "device", "nobody", "release", "edge-os/1.0.0", "--json"});
  ASSERT_FALSE(explained.has_value());
  EXPECT_THAT(explained.error().detail, ::testing::HasSubstr("device.unknown"));
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
