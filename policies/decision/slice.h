// A device's part of the policy: facts (the director's word), the signed grants that concern it,
// and all guardrails (docs/protocol.md, "Policy manifest and slice"). Policy only allows, so
// whatever a director withholds can only deny; what it adds is not in the signed list and is
// refused. Pure.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policies/decision/canonical.h"
#include "policies/decision/compile.h"
#include "policies/decision/decide.h"

namespace sallyport::policy {

// A slice for a device that talks to 20,000 peers is about 6 MB.
inline constexpr size_t kSliceSizeMax = size_t{8} << 20;

// SliceVersion only rises; compared lexicographically.
struct SliceVersion {
  int64_t incarnation = 0;
  int64_t counter = 0;
  auto operator<=>(const SliceVersion&) const = default;
};

struct SliceHeader {
  std::string trust_domain;
  std::string device;
  SliceVersion version;
  UnixTime issued_at;
  UnixTime lease_until;
};

// BuildSlice selects for `header.device` the grants it is an end of and the devices at their other
// ends. `policy` was compiled from `texts` (ReadSignedRules) and the inventory's facts. kNotFound
// for a device without facts; kTooLarge above kSliceSizeMax.
Result<std::string> BuildSlice(const SliceHeader& header, const CompiledPolicy& policy,
                               const PolicyManifest& manifest, const PolicyTexts& texts);

// HeldSlice is what the device remembers of the slice it obeys.
struct HeldSlice {
  SliceVersion version;
  Sha256Digest digest;
};

// SliceExpectation is what the verified director and policy metadata say the slice must be.
// Borrows.
struct SliceExpectation {
  const Sha256Digest& digest;
  const PolicyManifest& manifest;
  std::string_view trust_domain;
  std::string_view device;
  std::optional<HeldSlice> held;
};

// VerifiedSlice is proven by VerifySlice, its only maker. Immutable, thread-safe.
class VerifiedSlice {
 public:
  const SliceHeader& header() const { return header_; }
  const Sha256Digest& digest() const { return digest_; }
  int64_t policy_version() const { return policy_version_; }
  const LeaseTerms& lease() const { return lease_; }
  const CompiledPolicy& policy() const { return policy_; }
  // FindPeer returns null for a device the slice says nothing about.
  const DeviceFacts* FindPeer(std::string_view id) const;

 private:
  friend Result<VerifiedSlice> VerifySlice(std::string_view, const SliceExpectation&);
  VerifiedSlice(SliceHeader header, const Sha256Digest& digest, int64_t policy_version,
                const LeaseTerms& lease, CompiledPolicy policy)
      : header_(std::move(header)),
        digest_(digest),
        policy_version_(policy_version),
        lease_(lease),
        policy_(std::move(policy)) {}
  SliceHeader header_;
  Sha256Digest digest_;
  int64_t policy_version_;
  LeaseTerms lease_;
  CompiledPolicy policy_;
};

// VerifySlice refuses, and the device keeps what it has:
//   slice.digest          kMismatch     not the bytes the director signed for
//   slice.format, json.*  kMalformed    and slice.version (kUnsupported) for another format
//   slice.trust-domain    kMismatch
//   slice.device          kMismatch     made for another device
//   slice.rollback        kRollback     lower version, or the same version with other bytes
//   slice.policy-version  kMismatch     of another signed policy than the manifest
//   slice.feature         kUnsupported  slice or manifest needs what this program lacks
//   slice.guardrails      kMismatch     not all of the signed guardrails, byte for byte
//   slice.unlisted-grant  kUntrusted    a grant that is not in the signed list, byte for byte
//   slice.facts           kMalformed    a device twice, or its own facts not first
//   rule.dangling         kMalformed    a selector or service that selects nothing
Result<VerifiedSlice> VerifySlice(std::string_view bytes, const SliceExpectation& expected);

// DecideSlice is Decide over a slice: the device's own decision, at either end of a connection.
Decision DecideSlice(const VerifiedSlice& slice, const Party& from, const Party& to,
                     std::string_view service, UnixTime now, bool clock_trusted);

}  // namespace sallyport::policy
