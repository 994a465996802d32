// TrustBundle: which issuer has which role in a trust domain (docs/protocol.md, "Enrolment file").
// It travels in the enrolment file and as a target under the offline `targets` role.
#pragma once

#include "pki/base/digest.h"
#include "pki/base/json.h"
#include "pki/ca/hierarchy.h"
#include "pki/x509/chain_verifier.h"

namespace sallyport::pki {

constexpr size_t kTrustBundleBytesMax = 64 << 10;  // a dozen certificates and change
constexpr size_t kIssuersPerRoleMax = 8;           // rotation overlaps two or three

// TrustBundle as read: each device and server issuer is signed by pki_root, the operator root by
// itself, and no certificate has two roles. That pki_root is the right one is the caller's to check
// (PkiRootDigest).
struct TrustBundle {
  TrustDomain trust_domain;
  int64_t sequence = 0;
  IssuerCertificate pki_root;
  std::vector<IssuerCertificate> device_issuers;
  std::vector<IssuerCertificate> server_issuers;
  IssuerCertificate operator_root;
  // The Ed25519 key of the server's signed time; without one a device never learns the time.
  std::optional<PublicKey> time_key = {};
  // The Ed25519 key of audit checkpoints and the P-256 key of attestation results (EAR).
  std::optional<PublicKey> audit_key = {};
  std::optional<PublicKey> verdict_key = {};

  RoleAnchors Anchors() const;
  // PkiRootDigest is SHA-256 of the root's DER.
  Sha256Digest PkiRootDigest() const;
};

TrustBundle BundleOf(const Hierarchy& hierarchy, const TrustDomain& trust_domain, int64_t sequence);

JsonValue TrustBundleToJson(const TrustBundle& bundle);
std::string WriteTrustBundle(const TrustBundle& bundle);
// ParseTrustBundle: errors of ParseJson and JsonCursor; kUnsupported (rule bundle.version);
// kMalformed (rules bundle.time-key, bundle.audit-key, bundle.verdict-key); kUntrusted (rules
// bundle.issuer-signature, bundle.root-signature), kMismatch (rule bundle.role-twice), kTooLarge
// (rule bundle.issuers). Pure.
Result<TrustBundle> ParseTrustBundle(std::string_view text);
Result<TrustBundle> TrustBundleFromJson(const JsonCursor& json);

}  // namespace sallyport::pki
