// Reference files: JSON `sallyport reference/v1`, what a class of devices or a release is expected
// to measure (docs/operations/cli.md, "Reference file"). Pure; thread-safe.
//   {"sallyport":"reference/v1","class":"edge","bank":"sha256","secure_boot":true,
//    "pcrs":{"7":{"value":"<hex>"},"4":{"events":[{"type":"EV_...","digest":"<hex>","what":"uki 1.4.2"}]}}}
// `devices` is optional: ids of the only devices that the set is for. `supersedes` is optional: ids
// of sets of the class that this one replaces, with an overlap. Both are part of the bytes that
// operators approve.
// `secure_boot` is optional: the alternative then holds only for devices in that state. `type` and
// `what` of an event are optional. PCR 7 may also be judged by what it says (SecureBootExpected):
//   "7":{"secure_boot":{"pk":["x509:<hex>"],"kek":[...],"db":[...],"dbx":["sha256:<hex>"],"events":[]}}
// Which files may run is the optional section `ima` (ima_section.h).
// where pk, kek and db are what is allowed at most, and dbx what is revoked at least.
#pragma once

#include "attestation-server/evidence/expectation.h"
#include "ota/metadata/release.h"
#include "pki/base/bytes.h"
#include "pki/base/digest.h"

namespace sallyport::server {

inline constexpr size_t kReferenceBytesMax = 1 << 20;   // a full log of 500 events takes 100 KB
inline constexpr size_t kReferenceEventsMax = 2048;     // per PCR
inline constexpr size_t kReferenceTextMax = 256;        // class, what
inline constexpr size_t kReferenceDevicesMax = 10'000;  // with their ids the file stays in its size
inline constexpr size_t kReferenceSupersedesMax = 64;

struct ReferenceFile {
  std::string device_class;
  pki::HashAlgorithm bank = pki::HashAlgorithm::kSha256;
  Expectation expectation;  // label: "reference <class>" unless the caller sets a better one
  std::vector<std::string> devices = {};      // sorted; empty: every device of the class
  std::vector<Sha256Digest> supersedes = {};  // sorted
};

// ParseReferenceFile refuses unknown keys, an empty `pcrs` (it would accept anything), a PCR that
// is not judged by exactly one of value, events and secure_boot, digests that are not the bank's,
// and SHA-1. kMalformed (rules of pki/base/json.h, reference.pcrs, reference.pcr, reference.digest,
// reference.event, reference.signature, reference.devices, reference.supersedes), kUnsupported
// (reference.format, reference.bank).
Result<ReferenceFile> ParseReferenceFile(std::string_view json);

// PutOnBase puts the values of a release over those of `base`: PCRs that both name are the
// release's. The one alternative of the release that fits the base's Secure Boot state is taken.
// kMismatch
// ("release.secure-boot") when there is not exactly one.
Result<ReferenceFile> PutOnBase(const ota::Release& release, ReferenceFile base);

// WriteReferenceFile is deterministic; ParseReferenceFile reads it back to the same expectation.
std::string WriteReferenceFile(const ReferenceFile& file);

}  // namespace sallyport::server
