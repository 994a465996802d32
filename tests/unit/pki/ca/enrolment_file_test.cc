#include "pki/ca/enrolment_file.h"

#include "tests/unit/pki/x509/world.h"

namespace sallyport::pki {
namespace {

class EnrolmentFileTest : public ::testing::Test {
 protected:
  World world;
  TrustBundle bundle = BundleOf(world.hierarchy, world.domain, 1);
  EnrolmentFile file{world.domain,
                     true,
                     {"control.example:7001", "127.0.0.1:7002", "[::1]:7003"},
                     {*ServerSpiffeId(world.domain, "control")},
                     bundle.PkiRootDigest(),
                     bundle,
                     ToBytes("image root"),
                     ToBytes("director root"),
                     "abcdefgh234567"};

  std::string_view Rule() {
    const auto read = ParseEnrolmentFile(WriteEnrolmentFile(file));
    return read ? "accepted" : read.error().rule;
  }
};

TEST_F(EnrolmentFileTest, ReadsBackAsWritten) {
  const auto read = ParseEnrolmentFile(WriteEnrolmentFile(file));

  ASSERT_TRUE(read) << read.error().ToString();
  EXPECT_EQ(WriteEnrolmentFile(*read), WriteEnrolmentFile(file));
  EXPECT_TRUE(read->development);
  EXPECT_EQ(read->servers.content, "[::1]:7003");
  EXPECT_EQ(read->image_root, ToBytes("image root"));
  EXPECT_EQ(read->token, "abcdefgh234567");
}

TEST_F(EnrolmentFileTest, MayHaveNoToken) {
  file.token.clear();
  EXPECT_EQ(Rule(), "accepted");
}

TEST_F(EnrolmentFileTest, IsRefusedWhenCutAtAnyByte) {
  const std::string text = WriteEnrolmentFile(file);
  for (size_t size = 0; size < text.size(); size += 3)
    EXPECT_FALSE(ParseEnrolmentFile(text.substr(0, size))) << size;
  EXPECT_FALSE(ParseEnrolmentFile(text.substr(0, text.size() - 1)));
}

TEST_F(EnrolmentFileTest, RefusesAnotherPkiRootThanItNames) {
  const Hierarchy other = *CreateHierarchy({world.domain}, world.random, world.now);
  file.trust_bundle = BundleOf(other, world.domain, 1);
  EXPECT_EQ(Rule(), "enrolment.pki-root");
}

TEST_F(EnrolmentFileTest, RefusesABundleOfAnotherTrustDomain) {
  file.trust_bundle.trust_domain = *TrustDomain::Parse("other.example");
  EXPECT_EQ(Rule(), "enrolment.trust-domain");
}

TEST_F(EnrolmentFileTest, RefusesEndpointsThatAreNotHostAndPort) {
  for (const char* const bad :
       {"", "host", "host:", ":1", "host:0", "host:65536", "host:1x", "ho st:1", "::1:80", "[::1]",
        "https://host:1", "[]:1", "host:+1"}) {
    file.servers.enrol = bad;
    EXPECT_EQ(Rule(), "enrolment.endpoint") << bad;
  }
}

TEST_F(EnrolmentFileTest, RefusesServerIdsThatAreNone) {
  file.server_ids = {};
  EXPECT_EQ(Rule(), "enrolment.server-ids");
  file.server_ids = {*OperatorSpiffeId(world.domain, "alice")};
  EXPECT_EQ(Rule(), "enrolment.server-ids");
  file.server_ids = {*ServerSpiffeId(*TrustDomain::Parse("other.example"), "control")};
  EXPECT_EQ(Rule(), "enrolment.server-ids");
}

TEST_F(EnrolmentFileTest, RefusesATokenOrRootInAnotherEncoding) {
  file.token = "ABC";
  EXPECT_EQ(Rule(), "enrolment.token");
  file.token.clear();
  file.image_root.clear();
  EXPECT_EQ(Rule(), "enrolment.root");
}

TEST_F(EnrolmentFileTest, RefusesAnotherVersionAndUnknownKeys) {
  std::string text = WriteEnrolmentFile(file);
  EXPECT_EQ(ParseEnrolmentFile("{\"x\":1," + text.substr(1)).error().rule, "json.unknown-key");
  text.replace(text.find("enrolment/v1"), 12, "enrolment/v2");
  EXPECT_EQ(ParseEnrolmentFile(text).error().rule, "enrolment.version");
}

}  // namespace
}  // namespace sallyport::pki
