#include "pki/ca/signers.h"

#include "tests/unit/pki/x509/world.h"

namespace sallyport::pki {
namespace {

TEST(Signers, EachNameTheirOwnRoleOnly) {
  World world;
  const auto path = [](const IssuedLeaf& leaf) {
    return std::string(ParseIdentityCertificate(leaf.der)->spiffe_id.path());
  };

  EXPECT_EQ(path(world.Device()), "/device/" + world.device.text());
  EXPECT_EQ(path(world.Server()), "/server/control");
  EXPECT_EQ(path(world.Operator()), "/operator/alice");
}

TEST(Signers, RefuseAKeyThatIsNotTheIssuers) {
  World world;
  const IssuerKey mixed{world.hierarchy.device_issuer.certificate,
                        world.hierarchy.server_issuer.key};

  EXPECT_EQ(DeviceLeafSigner::Make(mixed, world.domain).error().rule, "leaf.issuer-key");
  EXPECT_EQ(ServerLeafSigner::Make(mixed, world.domain).error().rule, "leaf.issuer-key");
  EXPECT_EQ(OperatorLeafSigner::Make(mixed, world.domain).error().rule, "leaf.issuer-key");
}

}  // namespace
}  // namespace sallyport::pki
