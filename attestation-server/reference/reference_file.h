// Reference files: JSON `sallyport reference/v1`, what a class of devices or a release is expected
// to measure (docs/operations/cli.md, "Reference file"). Pure; thread-safe.
//   {"sallyport":"reference/v1","class":"edge","bank":"sha256","secure_boot":true,
//    "pcrs":{"7":{"value":"<hex>"},"4":{"events":[{"type":"EV_...","digest":"<hex>","what":"uki 1.4.2"}]}}}
// `secure_boot` is optional: the alternative then holds only for devices in that state. `type` and
// `what` of an event are optional. PCR 7 may also be judged by what it says (SecureBootExpected):
//   "7":{"secure_boot":{"pk":["x509:<hex>"],"kek":[...],"db":[...],"dbx":["sha256:<hex>"],"events":[]}}
// Which files may run is the optional section `ima` (ima_section.h).
// where pk, kek and db are what is allowed at most, and dbx what is revoked at least.
#pragma once

#include "attestation-server/evidence/expectation.h"
#include "pki/base/bytes.h"

namespace sallyport::server {

inline constexpr size_t kReferenceBytesMax = 1 << 20;  // a full log of 500 events takes 100 KB
inline constexpr size_t kReferenceEventsMax = 2048;    // per PCR
inline constexpr size_t kReferenceTextMax = 256;       // class, what

struct ReferenceFile {
  std::string device_class;
  pki::HashAlgorithm bank = pki::HashAlgorithm::kSha256;
  Expectation expectation;  // label: "reference <class>" unless the caller sets a better one
};

// ParseReferenceFile refuses unknown keys, an empty `pcrs` (it would accept anything), a PCR that
// is not judged by exactly one of value, events and secure_boot, digests that are not the bank's,
// and SHA-1. kMalformed (rules of pki/base/json.h, reference.pcrs, reference.pcr, reference.digest,
// reference.event, reference.signature), kUnsupported (reference.format, reference.bank).
Result<ReferenceFile> ParseReferenceFile(std::string_view json);

// WriteReferenceFile is deterministic; ParseReferenceFile reads it back to the same expectation.
std::string WriteReferenceFile(const ReferenceFile& file);

}  // namespace sallyport::server
