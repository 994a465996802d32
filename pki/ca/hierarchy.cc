#include "pki/ca/hierarchy.h"

namespace sallyport::pki {
namespace {

constexpr uint8_t kIssuersBelowRoot = 1;

Bytes DrawSerial(Random& random) {
  Bytes serial(16);
  random.Fill(serial);
  serial[0] = static_cast<uint8_t>((serial[0] & 0x7F) | 0x40);  // positive, and always 16 bytes
  return serial;
}

struct IssuerKind {
  std::string_view title;
  Duration lifetime;
  uint8_t path_length;
  NameScope scope;
};

IssuerFields FieldsFor(const IssuerKind& kind, const TrustDomain& trust_domain, Random& random,
                       UnixTime now) {
  Bytes serial = DrawSerial(random);
  // The serial's front tells generations of one issuer apart.
  const std::string name =
      "Sallyport " + std::string(kind.title) + " " + HexEncode(ByteView(serial).first(4));
  return {name,
          trust_domain,
          std::move(serial),
          now - kBackdate,
          now + kind.lifetime,
          kind.path_length,
          kind.scope};
}

Result<IssuerKey> CreateRoot(const IssuerKind& kind, const TrustDomain& trust_domain,
                             Random& random, UnixTime now) {
  SP_TRY(PrivateKey key, PrivateKey::Generate(KeyType::kP256));
  SP_TRY(IssuerCertificate certificate,
         SignSelfIssued(FieldsFor(kind, trust_domain, random, now), key));
  return IssuerKey{std::move(certificate), std::move(key)};
}

Result<IssuerKey> CreateIssuer(const IssuerKind& kind, const IssuerKey& root,
                               const TrustDomain& trust_domain, Random& random, UnixTime now) {
  SP_TRY(PrivateKey key, PrivateKey::Generate(KeyType::kP256));
  SP_TRY(IssuerCertificate certificate, SignIssuer(FieldsFor(kind, trust_domain, random, now),
                                                   key.public_key(), root.certificate, root.key));
  return IssuerKey{std::move(certificate), std::move(key)};
}

}  // namespace

Result<IssuerKey> CreateDeviceIssuer(const IssuerKey& pki_root, const TrustDomain& trust_domain,
                                     Random& random, UnixTime now) {
  const IssuerKind kind{"device issuer", kDeviceIssuerLifetime, 0, NameScope::kUriOnly};
  return CreateIssuer(kind, pki_root, trust_domain, random, now);
}

Result<IssuerKey> CreateServerIssuer(const IssuerKey& pki_root, const TrustDomain& trust_domain,
                                     Random& random, UnixTime now) {
  const IssuerKind kind{"server issuer", kServerIssuerLifetime, 0, NameScope::kUriAndHosts};
  return CreateIssuer(kind, pki_root, trust_domain, random, now);
}

Result<OperatorIdentity> CreateOperator(const IssuerKey& operator_root,
                                        const TrustDomain& trust_domain, std::string_view name,
                                        Random& random, UnixTime now) {
  SP_TRY(const OperatorLeafSigner signer, OperatorLeafSigner::Make(operator_root, trust_domain));
  SP_TRY(PrivateKey key, PrivateKey::Generate(KeyType::kP256));
  SP_TRY(IssuedLeaf leaf, signer.SignOperatorLeaf(name, key.public_key().spki(), now - kBackdate,
                                                  now + kOperatorLeafLifetime, random));
  return OperatorIdentity{std::move(leaf), std::move(key)};
}

Result<Hierarchy> CreateHierarchy(const HierarchyParams& params, Random& random, UnixTime now) {
  const TrustDomain& domain = params.trust_domain;
  const IssuerKind pki{"PKI root", kPkiRootLifetime, kIssuersBelowRoot, NameScope::kAny};
  const IssuerKind operators{"operator root", kOperatorRootLifetime, 0, NameScope::kUriOnly};
  SP_TRY(IssuerKey pki_root, CreateRoot(pki, domain, random, now));
  SP_TRY(IssuerKey device_issuer, CreateDeviceIssuer(pki_root, domain, random, now));
  SP_TRY(IssuerKey server_issuer, CreateServerIssuer(pki_root, domain, random, now));
  SP_TRY(IssuerKey operator_root, CreateRoot(operators, domain, random, now));
  SP_TRY(OperatorIdentity first,
         CreateOperator(operator_root, domain, params.first_operator, random, now));
  return Hierarchy{std::move(pki_root), std::move(device_issuer), std::move(server_issuer),
                   std::move(operator_root), std::move(first)};
}

}  // namespace sallyport::pki
