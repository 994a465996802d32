// The certificate hierarchy of one trust domain (architecture 5a): PKI root with device and server
// issuers below it, and an operator root apart from them.
#pragma once

#include "pki/ca/signers.h"

namespace sallyport::pki {

constexpr Duration kPkiRootLifetime = Days(3650);
constexpr Duration kOperatorRootLifetime = Days(3650);
constexpr Duration kDeviceIssuerLifetime = Days(30);
constexpr Duration kServerIssuerLifetime = Days(90);
constexpr Duration kOperatorLeafLifetime = Hours(24);
// Certificates begin this much before `now`, so that a peer with a slightly late clock accepts
// them.
constexpr Duration kBackdate = Minutes(5);

struct HierarchyParams {
  TrustDomain trust_domain;
  std::string first_operator = "admin";  // a name that fits /operator/<name>
};

struct OperatorIdentity {
  IssuedLeaf leaf;
  PrivateKey key;
};

struct Hierarchy {
  IssuerKey pki_root;  // taken offline by the operator
  IssuerKey device_issuer;
  IssuerKey server_issuer;
  IssuerKey operator_root;  // never on sallyportd
  OperatorIdentity first_operator;
};

// CreateHierarchy makes everything anew. `random` gives serials; keys come from OpenSSL's
// generator. kMalformed or kMismatch when the operator's name does not fit.
Result<Hierarchy> CreateHierarchy(const HierarchyParams& params, Random& random, UnixTime now);

// Issuers of later generations, under a root that already exists; common names differ by serial.
Result<IssuerKey> CreateDeviceIssuer(const IssuerKey& pki_root, const TrustDomain& trust_domain,
                                     Random& random, UnixTime now);
Result<IssuerKey> CreateServerIssuer(const IssuerKey& pki_root, const TrustDomain& trust_domain,
                                     Random& random, UnixTime now);
// CreateOperator makes a key and a 24-hour leaf for it under the operator root.
Result<OperatorIdentity> CreateOperator(const IssuerKey& operator_root,
                                        const TrustDomain& trust_domain, std::string_view name,
                                        Random& random, UnixTime now);

}  // namespace sallyport::pki
