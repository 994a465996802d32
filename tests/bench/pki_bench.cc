// Certificates: what issuing, reading and verifying a leaf costs, beside the curve's own price on
// this machine. Budget (docs/architecture.md 9): a leaf by template is within a few microseconds of
// one P-256 signature, a peer's verification of one P-256 verification; reading a leaf is below 5
// us.
#include <benchmark/benchmark.h>
#include <openssl/evp.h>

#include "pki/ca/hierarchy.h"
#include "pki/ca/trust_bundle.h"
#include "pki/crypto/openssl_ptr.h"
#include "pki/x509/csr.h"
#include "tests/fakes/fake_random.h"

namespace sallyport::pki {
namespace {

struct Bench {
  UnixTime now = UnixTime::FromSeconds(1'800'000'000);
  FakeRandom random;
  TrustDomain domain = *TrustDomain::Parse("edge.example");
  Hierarchy hierarchy = *CreateHierarchy({domain}, random, now);
  RoleAnchors anchors = BundleOf(hierarchy, domain, 1).Anchors();
  PrivateKey key = *PrivateKey::Generate(KeyType::kP256);
  DeviceId device = DeviceIdFromEk(domain, AsBytes("ek"));
  IdentityExtension extension{now,
                              Tier::kMeasured,
                              1,
                              1,
                              random.Next<BootId>(),
                              random.Next<ReleaseDigest>(),
                              KeyProtection::kTpmNullHierarchy};
  DeviceLeafSigner signer = *DeviceLeafSigner::Make(hierarchy.device_issuer, domain);

  IssuedLeaf Issue() {
    return *signer.SignDeviceLeaf(device, key.public_key().spki(), extension, now, now + Hours(1),
                                  random);
  }
};

Bench& Shared() {
  static Bench bench;
  return bench;
}

// RawKey is an EVP_PKEY_CTX that is set up once and signs or verifies digests: the floor.
struct RawKey {
  PrivateKey key = *PrivateKey::Generate(KeyType::kP256);
  EvpPkeyCtx sign{EVP_PKEY_CTX_new(static_cast<EVP_PKEY*>(key.native()), nullptr)};
  EvpPkeyCtx verify{EVP_PKEY_CTX_new(static_cast<EVP_PKEY*>(key.native()), nullptr)};
  Sha256Digest digest = Sha256(AsBytes("digest"));
  Bytes signature = Bytes(80);

  RawKey() {
    SP_CHECK(EVP_PKEY_sign_init(sign.get()) == 1 && EVP_PKEY_verify_init(verify.get()) == 1);
    Sign();
  }
  void Sign() {
    size_t size = 80;
    signature.resize(size);
    SP_CHECK(EVP_PKEY_sign(sign.get(), signature.data(), &size, digest.view().data(), 32) == 1);
    signature.resize(size);
  }
  void Verify() {
    SP_CHECK(EVP_PKEY_verify(verify.get(), signature.data(), signature.size(), digest.view().data(),
                             32) == 1);
  }
};

void FloorP256Sign(benchmark::State& state) {
  RawKey key;
  for (auto _ : state) key.Sign();
}
BENCHMARK(FloorP256Sign)->Unit(benchmark::kMicrosecond);

void FloorP256Verify(benchmark::State& state) {
  RawKey key;
  for (auto _ : state) key.Verify();
}
BENCHMARK(FloorP256Verify)->Unit(benchmark::kMicrosecond);

void IssueDeviceLeaf(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(Shared().Issue());
}
BENCHMARK(IssueDeviceLeaf)->Unit(benchmark::kMicrosecond);

void ParseDeviceLeaf(benchmark::State& state) {
  const Bytes der = Shared().Issue().der;
  for (auto _ : state) benchmark::DoNotOptimize(ParseIdentityCertificate(der));
}
BENCHMARK(ParseDeviceLeaf)->Unit(benchmark::kMicrosecond);

void VerifyDevicePeer(benchmark::State& state) {
  Bench& bench = Shared();
  const Bytes der = bench.Issue().der;
  for (auto _ : state)
    SP_CHECK(
        VerifyPeer(der, {}, bench.anchors, Role::kDevice, bench.domain, bench.now).has_value());
}
BENCHMARK(VerifyDevicePeer)->Unit(benchmark::kMicrosecond);

void ParseCsrOfADevice(benchmark::State& state) {
  const PrivateKey& key = Shared().key;
  const Bytes csr =
      *MakeCsr(key.public_key().spki(), [&](ByteView bytes) { return key.Sign(bytes); });
  for (auto _ : state) SP_CHECK(ParseCsr(csr).has_value());
}
BENCHMARK(ParseCsrOfADevice)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace sallyport::pki

BENCHMARK_MAIN();
