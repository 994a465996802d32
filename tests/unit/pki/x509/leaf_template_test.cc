#include "pki/x509/leaf_template.h"

#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "pki/crypto/openssl_ptr.h"
#include "tests/unit/pki/x509/world.h"

namespace sallyport::pki {
namespace {

X509Ptr Native(ByteView der) {
  const unsigned char* at = der.data();
  return X509Ptr(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
}

void FreeStack(STACK_OF(X509) * stack) { sk_X509_free(stack); }

// OpenSslSays is X509_verify_cert's opinion of `leaf` under `issuer` and `root`, strict.
std::string OpenSslSays(ByteView leaf, const IssuerCertificate& issuer,
                        const IssuerCertificate& root, UnixTime now) {
  const X509StorePtr store{X509_STORE_new()};
  const X509StoreCtxPtr context{X509_STORE_CTX_new()};
  const X509Ptr native_root = Native(root.der), native_issuer = Native(issuer.der),
                native_leaf = Native(leaf);
  X509_STORE_add_cert(store.get(), native_root.get());
  const Owned<STACK_OF(X509), FreeStack> chain{sk_X509_new_null()};
  sk_X509_push(chain.get(), native_issuer.get());
  X509_STORE_CTX_init(context.get(), store.get(), native_leaf.get(), chain.get());
  X509_VERIFY_PARAM* const parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(parameters, now.seconds());
  X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE);
  X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_SSL_CLIENT);
  X509_verify_cert(context.get());
  return X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
}

class LeafTemplateTest : public ::testing::Test {
 protected:
  World world;
  const Hierarchy& hierarchy = world.hierarchy;
};

TEST_F(LeafTemplateTest, IssuesWhatOpenSslVerifies) {
  const IssuerCertificate& root = hierarchy.pki_root.certificate;
  EXPECT_EQ(OpenSslSays(world.Device().der, hierarchy.device_issuer.certificate, root, world.now),
            "ok");
  EXPECT_EQ(OpenSslSays(world.Server().der, hierarchy.server_issuer.certificate, root, world.now),
            "ok");
  const IssuerCertificate& operators = hierarchy.operator_root.certificate;
  EXPECT_EQ(OpenSslSays(world.Operator().der, operators, operators, world.now), "ok");
}

TEST_F(LeafTemplateTest, IssuesWhatOpenSslReadsAlike) {
  const IssuedLeaf leaf = world.Device();
  const X509Ptr native = Native(leaf.der);
  ASSERT_NE(native, nullptr);
  const BignumPtr serial{ASN1_INTEGER_to_BN(X509_get0_serialNumber(native.get()), nullptr)};
  Bytes serial_bytes(static_cast<size_t>(BN_num_bytes(serial.get())));
  BN_bn2bin(serial.get(), serial_bytes.data());

  EXPECT_EQ(serial_bytes, leaf.serial);
  EXPECT_EQ(X509_get_key_usage(native.get()), static_cast<uint32_t>(KU_DIGITAL_SIGNATURE));
  EXPECT_EQ(X509_get_extended_key_usage(native.get()),
            static_cast<uint32_t>(XKU_SSL_CLIENT | XKU_SSL_SERVER));
  EXPECT_EQ(X509_check_ca(native.get()), 0);
}

TEST_F(LeafTemplateTest, OfTheDeviceIssuerCannotNameHostsOrAnotherTrustDomainForOpenSsl) {
  const IssuerKey& issuer = hierarchy.device_issuer;
  const IssuerCertificate& root = hierarchy.pki_root.certificate;
  const LeafValidity validity{world.now, world.now + Hours(1)};
  const auto own = LeafTemplate::Make(issuer.certificate, issuer.key, world.domain);
  const auto foreign =
      LeafTemplate::Make(issuer.certificate, issuer.key, *TrustDomain::Parse("other.example"));
  const auto with_host =
      own->IssueServer("a", {{"bank.example"}, {}}, world.spki(), validity, world.random);
  const auto with_address =
      own->IssueServer("a", {{}, {Bytes{10, 0, 0, 1}}}, world.spki(), validity, world.random);
  const auto elsewhere = foreign->IssueOperator("a", world.spki(), validity, world.random);

  EXPECT_EQ(OpenSslSays(with_host->der, issuer.certificate, root, world.now),
            "excluded subtree violation");
  EXPECT_EQ(OpenSslSays(with_address->der, issuer.certificate, root, world.now),
            "excluded subtree violation");
  EXPECT_EQ(OpenSslSays(elsewhere->der, issuer.certificate, root, world.now),
            "permitted subtree violation");
}

TEST_F(LeafTemplateTest, NeverOutlivesItsIssuer) {
  const UnixTime end = world.devices.issuer().not_after;
  const auto leaf = world.devices.SignDeviceLeaf(world.device, world.spki(), world.extension,
                                                 world.now, world.now + Days(365), world.random);

  EXPECT_EQ(leaf->not_after, end);
  EXPECT_EQ(world.devices
                .SignDeviceLeaf(world.device, world.spki(), world.extension, end, end + Days(1),
                                world.random)
                .error()
                .rule,
            "leaf.validity");
}

TEST_F(LeafTemplateTest, CutsTimesToWholeSeconds) {
  const auto leaf = world.devices.SignDeviceLeaf(world.device, world.spki(), world.extension,
                                                 world.now + Milliseconds(700),
                                                 world.now + Milliseconds(60999), world.random);

  EXPECT_EQ(leaf->not_before, world.now);
  EXPECT_EQ(leaf->not_after, world.now + Seconds(60));
}

TEST_F(LeafTemplateTest, StripsLeadingZerosOfASerial) {
  class ZeroFirst final : public Random {
    void Fill(std::span<uint8_t> out) override {
      std::ranges::fill(out, uint8_t{0x80});
      out[0] = 0;
    }
  } random;
  const auto leaf =
      world.operators.SignOperatorLeaf("a", world.spki(), world.now, world.now + Hours(1), random);

  EXPECT_EQ(leaf->serial, Bytes(15, 0x80));
  EXPECT_EQ(ParseIdentityCertificate(leaf->der)->serial, leaf->serial);
}

TEST_F(LeafTemplateTest, NeverIssuesTheSameSerialTwice) {
  EXPECT_NE(world.Device().serial, world.Device().serial);
}

TEST_F(LeafTemplateTest, RefusesKeysThatAreNotP256) {
  const PrivateKey ed25519 = *PrivateKey::Generate(KeyType::kEd25519);
  const auto leaf = world.operators.SignOperatorLeaf("a", ed25519.public_key().spki(), world.now,
                                                     world.now + Hours(1), world.random);

  EXPECT_EQ(leaf.error().rule, "leaf.key");
}

TEST_F(LeafTemplateTest, RefusesTheKeyOfAnotherIssuer) {
  EXPECT_EQ(LeafTemplate::Make(hierarchy.device_issuer.certificate, hierarchy.server_issuer.key,
                               world.domain)
                .error()
                .rule,
            "leaf.issuer-key");
}

TEST_F(LeafTemplateTest, RefusesHostsThatAreNone) {
  const auto rule = [&](const HostNames& hosts) {
    return world.servers
        .SignServerLeaf("a", hosts, world.spki(), world.now, world.now + Hours(1), world.random)
        .error()
        .rule;
  };
  EXPECT_EQ(rule({{"a b"}, {}}), "leaf.hosts");
  EXPECT_EQ(rule({{std::string("a\0b", 3)}, {}}), "leaf.hosts");
  EXPECT_EQ(rule({{}, {Bytes(5)}}), "leaf.hosts");
  EXPECT_EQ(rule({std::vector<std::string>(kServerNamesMax + 1, "a"), {}}), "leaf.hosts");
}

TEST_F(LeafTemplateTest, RefusesNamesThatAreNoPathOfTheRole) {
  const UnixTime end = world.now + Hours(1);
  EXPECT_EQ(world.operators.SignOperatorLeaf("a/b", world.spki(), world.now, end, world.random)
                .error()
                .rule,
            "id.role-path");
  EXPECT_EQ(
      world.servers.SignServerLeaf("", {}, world.spki(), world.now, end, world.random).error().rule,
      "id.role-path");
}

TEST_F(LeafTemplateTest, WorksBeyond2049) {
  const UnixTime far = *ParseRfc3339("2051-01-01T00:00:00Z");
  const Hierarchy later = *CreateHierarchy({world.domain}, world.random, far);
  const auto signer = DeviceLeafSigner::Make(later.device_issuer, world.domain);
  const auto leaf = signer->SignDeviceLeaf(world.device, world.spki(), world.extension, far,
                                           far + Hours(1), world.random);

  EXPECT_EQ(ParseIdentityCertificate(leaf->der)->not_after, far + Hours(1));
  EXPECT_EQ(
      OpenSslSays(leaf->der, later.device_issuer.certificate, later.pki_root.certificate, far),
      "ok");
}

}  // namespace
}  // namespace sallyport::pki
