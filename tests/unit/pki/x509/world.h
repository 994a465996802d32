// One trust domain to test with: a hierarchy, a device's key and what its evidence said.
#pragma once

#include "pki/ca/hierarchy.h"
#include "pki/ca/trust_bundle.h"
#include "tests/fakes/fake_random.h"

namespace sallyport::pki {

struct World {
  UnixTime now = UnixTime::FromSeconds(1'800'000'000);
  FakeRandom random = FakeRandom();
  TrustDomain domain = *TrustDomain::Parse("edge.example");
  Hierarchy hierarchy = *CreateHierarchy({domain}, random, now);
  RoleAnchors anchors = BundleOf(hierarchy, domain, 1).Anchors();
  PrivateKey key = *PrivateKey::Generate(KeyType::kP256);
  const Bytes& spki() const { return key.public_key().spki(); }
  DeviceId device = DeviceIdFromEk(domain, AsBytes("ek"));
  IdentityExtension extension{now,
                              Tier::kMeasured,
                              7,
                              42,
                              random.Next<BootId>(),
                              random.Next<ReleaseDigest>(),
                              KeyProtection::kTpmNullHierarchy};
  DeviceLeafSigner devices = *DeviceLeafSigner::Make(hierarchy.device_issuer, domain);
  ServerLeafSigner servers = *ServerLeafSigner::Make(hierarchy.server_issuer, domain);
  OperatorLeafSigner operators = *OperatorLeafSigner::Make(hierarchy.operator_root, domain);

  IssuedLeaf Device() {
    return *devices.SignDeviceLeaf(device, spki(), extension, now, now + Hours(1), random);
  }
  IssuedLeaf Server(const HostNames& hosts = {{"control.edge.example"}, {Bytes{127, 0, 0, 1}}}) {
    return *servers.SignServerLeaf("control", hosts, spki(), now, now + Days(30), random);
  }
  IssuedLeaf Operator() {
    return *operators.SignOperatorLeaf("alice", spki(), now, now + Hours(24), random);
  }
};

}  // namespace sallyport::pki
