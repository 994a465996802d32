#include "pki/spiffe/spiffe_id.h"

#include <fstream>
#include <sstream>

#include "pki/base/json.h"
#include "pki/crypto/hash.h"

namespace sallyport::pki {
namespace {

const std::string kDevice(52, 'a');

TrustDomain Domain(std::string_view name = "edge.example") { return *TrustDomain::Parse(name); }
std::string_view RuleOf(std::string_view id) { return SpiffeId::Parse(id).error().rule; }

JsonValue Vectors() {
  std::ifstream in(SALLYPORT_SOURCE_DIR "/tests/vectors/spiffe/spiffeid-cases.json",
                   std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  auto value = ParseJson(text.str());
  EXPECT_TRUE(value) << value.error().ToString();
  return *std::move(value);
}

TEST(SpiffeId, AgreesWithEveryIdOfTheVectors) {
  const JsonValue vectors = Vectors();
  const auto cases = JsonCursor(vectors).Elements();
  size_t seen = 0;
  for (const JsonCursor& one : *cases) {
    if (*one.GetString("kind") != "id") continue;
    ++seen;
    const auto id = SpiffeId::Parse(*one.GetString("input"));
    ASSERT_EQ(id.has_value(), one.GetBool("valid")->value) << *one.GetString("input");
    if (!id.has_value()) continue;
    EXPECT_EQ(id->trust_domain().name(), *one.GetString("trust_domain"));
    EXPECT_EQ(id->path(), *one.GetString("path"));
  }
  EXPECT_EQ(seen, 267u);
}

TEST(TrustDomain, AgreesWithEveryTrustDomainOfTheVectors) {
  const JsonValue vectors = Vectors();
  const auto cases = JsonCursor(vectors).Elements();
  size_t seen = 0;
  for (const JsonCursor& one : *cases) {
    if (*one.GetString("kind") != "trust_domain") continue;
    ++seen;
    const std::string_view input = *one.GetString("input");
    // The vectors' function also takes a whole id; ours is SpiffeId::Parse.
    const bool valid = input.find(":/") == std::string_view::npos
                           ? TrustDomain::Parse(input).has_value()
                           : SpiffeId::Parse(input).has_value();
    EXPECT_EQ(valid, one.GetBool("valid")->value) << input;
  }
  EXPECT_EQ(seen, 133u);
}

TEST(SpiffeId, NamesTheRuleThatWasBroken) {
  EXPECT_EQ(RuleOf(""), "id.empty");
  EXPECT_EQ(RuleOf("http://edge.example/a"), "id.scheme");
  EXPECT_EQ(RuleOf("SPIFFE://edge.example/a"), "id.scheme");
  EXPECT_EQ(RuleOf("spiffe:///a"), "id.trust-domain-missing");
  EXPECT_EQ(RuleOf("spiffe://Edge/a"), "id.trust-domain-character");
  EXPECT_EQ(RuleOf("spiffe://edge:80/a"), "id.trust-domain-character");
  EXPECT_EQ(RuleOf("spiffe://edge//a"), "id.path-empty-segment");
  EXPECT_EQ(RuleOf("spiffe://edge/a/../b"), "id.path-dot-segment");
  EXPECT_EQ(RuleOf("spiffe://edge/a/"), "id.path-trailing-slash");
  EXPECT_EQ(RuleOf("spiffe://edge/a?b"), "id.path-character");
  EXPECT_EQ(RuleOf(std::string_view("spiffe://edge/a\0b", 17)), "id.path-character");
}

TEST(SpiffeId, KeepsTheLengthLimitsOfTheStandard) {
  const std::string longest_domain(kTrustDomainBytesMax, 'd');
  const std::string prefix = "spiffe://d/";
  const std::string longest = prefix + std::string(kSpiffeIdBytesMax - prefix.size(), 'p');

  EXPECT_TRUE(SpiffeId::Parse("spiffe://" + longest_domain));
  EXPECT_EQ(RuleOf("spiffe://" + longest_domain + "d"), "id.trust-domain-length");
  EXPECT_TRUE(SpiffeId::Parse(longest));
  EXPECT_EQ(RuleOf(longest + "p"), "id.length");
  EXPECT_EQ(SpiffeId::Make(Domain("d"), "/" + std::string(kSpiffeIdBytesMax, 'p')).error().rule,
            "id.length");
}

TEST(SpiffeId, MakesWhatItParses) {
  const auto made = SpiffeId::Make(Domain(), "/a/b");

  EXPECT_EQ(*made, *SpiffeId::Parse("spiffe://edge.example/a/b"));
  EXPECT_EQ(made->path(), "/a/b");
  EXPECT_EQ(SpiffeId::Make(Domain(), "a").error().rule, "id.path-character");
}

TEST(DeviceId, AcceptsFiftyTwoCharactersOfBase32Only) {
  EXPECT_TRUE(DeviceId::Parse(kDevice));
  EXPECT_EQ(DeviceId::Parse(kDevice.substr(1)).error().rule, "id.device");
  EXPECT_EQ(DeviceId::Parse(kDevice + "a").error().rule, "id.device");
  for (const char bad : {'A', '1', '8', '=', '\0', '/'})
    EXPECT_EQ(DeviceId::Parse(bad + kDevice.substr(1)).error().rule, "id.device") << bad;
}

TEST(DeviceIdFromEk, IsTheFormulaOfTheProtocol) {
  const Bytes message = ToBytes(std::string_view("sallyport/device-id/v1\0edge.example\0spki", 40));

  const DeviceId device = DeviceIdFromEk(Domain(), AsBytes("spki"));

  EXPECT_EQ(device.text(), Base32LowerEncode(Sha256(message).view()));
  EXPECT_TRUE(DeviceId::Parse(device.text()));
}

TEST(DeviceIdFromEk, DiffersBetweenTrustDomains) {
  EXPECT_NE(DeviceIdFromEk(Domain("a"), AsBytes("spki")),
            DeviceIdFromEk(Domain("b"), AsBytes("spki")));
}

TEST(RolePaths, MatchTheWholePath) {
  EXPECT_EQ(DevicePath("/device/" + kDevice)->text(), kDevice);
  EXPECT_EQ(*ServerPath("/server/control-1"), "control-1");
  EXPECT_EQ(*OperatorPath("/operator/alice.b_c-d"), "alice.b_c-d");
}

TEST(RolePaths, RefuseEverythingElse) {
  for (const std::string& path :
       {"/device/" + kDevice + "/workload/web", "/x/device/" + kDevice, "/device/" + kDevice + "\n",
        std::string("/device/"), "/device/" + kDevice.substr(1), std::string()})
    EXPECT_EQ(DevicePath(path).error().rule, "id.role-path") << path;
  for (const std::string_view path :
       {"/server/", "/server/a/b", "/server/a.b", "/server/A", "/operator/a", "server/a"})
    EXPECT_EQ(ServerPath(path).error().rule, "id.role-path") << path;
  for (const std::string_view path : {"/operator/", "/operator/a/b", "/operator/A", "/server/a"})
    EXPECT_EQ(OperatorPath(path).error().rule, "id.role-path") << path;
}

TEST(RolePaths, OfOneRoleDoNotMatchAnother) {
  EXPECT_TRUE(MatchRolePath(Role::kDevice, "/device/" + kDevice));
  EXPECT_FALSE(MatchRolePath(Role::kServer, "/device/" + kDevice));
  EXPECT_FALSE(MatchRolePath(Role::kOperator, "/device/" + kDevice));
  EXPECT_TRUE(MatchRolePath(Role::kServer, "/server/control"));
  EXPECT_TRUE(MatchRolePath(Role::kOperator, "/operator/alice"));
}

TEST(RoleSpiffeIds, RefuseNamesThatWouldBeAnotherPath) {
  EXPECT_EQ(ServerSpiffeId(Domain(), "control")->text(), "spiffe://edge.example/server/control");
  EXPECT_EQ(OperatorSpiffeId(Domain(), "alice")->text(), "spiffe://edge.example/operator/alice");
  EXPECT_EQ(DeviceSpiffeId(Domain(), *DeviceId::Parse(kDevice)).text(),
            "spiffe://edge.example/device/" + kDevice);
  EXPECT_EQ(ServerSpiffeId(Domain(), "a/b").error().rule, "id.role-path");
  EXPECT_EQ(OperatorSpiffeId(Domain(), "").error().rule, "id.role-path");
  EXPECT_EQ(OperatorSpiffeId(Domain(), "..").error().rule, "id.path-dot-segment");
}

}  // namespace
}  // namespace sallyport::pki
