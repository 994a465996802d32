#include "pki/ca/hierarchy.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>

#include "pki/x509/pem.h"
#include "tests/unit/pki/x509/world.h"

namespace sallyport::pki {
namespace {

class HierarchyTest : public ::testing::Test {
 protected:
  World world;
  const Hierarchy& hierarchy = world.hierarchy;
  const IssuerCertificate& root = hierarchy.pki_root.certificate;
  const IssuerCertificate& devices = hierarchy.device_issuer.certificate;
  const IssuerCertificate& servers = hierarchy.server_issuer.certificate;
  const IssuerCertificate& operators = hierarchy.operator_root.certificate;
};

TEST_F(HierarchyTest, PutsDeviceAndServerIssuersUnderThePkiRoot) {
  EXPECT_TRUE(CheckIssuedBy(root, root));
  EXPECT_TRUE(CheckIssuedBy(devices, root));
  EXPECT_TRUE(CheckIssuedBy(servers, root));
  EXPECT_TRUE(CheckIssuedBy(operators, operators));
}

TEST_F(HierarchyTest, KeepsOperatorsApart) {
  EXPECT_EQ(CheckIssuedBy(operators, root).error().rule, "issuer.name");
  EXPECT_EQ(CheckIssuedBy(devices, operators).error().rule, "issuer.name");
}

TEST_F(HierarchyTest, LivesAsLongAsArchitectureSays) {
  EXPECT_EQ(root.not_after, world.now + kPkiRootLifetime);
  EXPECT_EQ(devices.not_after, world.now + Days(30));
  EXPECT_EQ(servers.not_after, world.now + Days(90));
  EXPECT_EQ(hierarchy.first_operator.leaf.not_after, world.now + Hours(24));
  EXPECT_EQ(root.path_length, 1);
  EXPECT_EQ(devices.path_length, 0);
}

TEST_F(HierarchyTest, GivesEveryIssuerItsOwnNameAndKey) {
  std::set<Bytes> names, keys;
  for (const IssuerCertificate* const one : {&root, &devices, &servers, &operators}) {
    names.insert(one->subject);
    keys.insert(one->key.spki());
  }
  EXPECT_EQ(names.size(), 4u);
  EXPECT_EQ(keys.size(), 4u);
}

TEST_F(HierarchyTest, GivesTheNextGenerationAnotherName) {
  const auto next =
      CreateDeviceIssuer(hierarchy.pki_root, world.domain, world.random, world.now + Days(20));

  ASSERT_TRUE(next);
  EXPECT_NE(next->certificate.subject, devices.subject);
  EXPECT_TRUE(CheckIssuedBy(next->certificate, root));
}

TEST_F(HierarchyTest, CutsAnIssuerToItsRoot) {
  const auto late =
      CreateServerIssuer(hierarchy.pki_root, world.domain, world.random, root.not_after - Days(1));

  EXPECT_EQ(late->certificate.not_after, root.not_after);
}

TEST_F(HierarchyTest, MakesAnOperatorWhoVerifies) {
  const OperatorIdentity& first = hierarchy.first_operator;
  const auto peer =
      VerifyPeer(first.leaf.der, {}, world.anchors, Role::kOperator, world.domain, world.now);

  ASSERT_TRUE(peer) << peer.error().ToString();
  EXPECT_EQ(peer->name(), "admin");
  EXPECT_EQ(peer->certificate().spki, first.key.public_key().spki());
}

TEST_F(HierarchyTest, RefusesAnOperatorNameThatIsNoPath) {
  EXPECT_EQ(CreateHierarchy({world.domain, "Not A Name"}, world.random, world.now).error().rule,
            "id.role-path");
}

TEST_F(HierarchyTest, RefusesAnIssuerOfTheSameNameWithAnotherKey) {
  IssuerCertificate other = root;
  other.key = operators.key;

  EXPECT_EQ(CheckIssuedBy(devices, other).error().rule, "issuer.signature");
}

// The program `openssl` is an opinion independent of the library calls in the other tests.
TEST_F(HierarchyTest, IsVerifiedByTheOpenSslProgram) {
  if (std::system("openssl version >/dev/null 2>&1") != 0) GTEST_SKIP() << "no openssl program";
  const std::string base = ::testing::TempDir() + "sallyport_hierarchy_";
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(base + name) << text;
  };
  write("root.pem", root.ToPem());
  write("issuer.pem", devices.ToPem());
  write("leaf.pem", CertificatePem(world.Device().der));
  const std::string command = "openssl verify -x509_strict -attime " +
                              std::to_string(world.now.seconds()) + " -purpose sslclient -CAfile " +
                              base + "root.pem -untrusted " + base + "issuer.pem " + base +
                              "leaf.pem 2>&1";
  FILE* const pipe = popen(command.c_str(), "r");
  std::array<char, 512> line{};
  const size_t size = fread(line.data(), 1, line.size() - 1, pipe);
  EXPECT_EQ(pclose(pipe), 0) << std::string(line.data(), size);
  for (const char* const name : {"root.pem", "issuer.pem", "leaf.pem"})
    std::remove((base + name).c_str());
}

}  // namespace
}  // namespace sallyport::pki
