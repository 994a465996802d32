// From stored reference rows to the alternatives a device is judged under, parsed once and kept.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attestation-server/enrolment/bounded_cache.h"
#include "attestation-server/evidence/expectation.h"
#include "attestation-server/reference/reference_file.h"
#include "attestation-server/store/references.h"

namespace sallyport::server {

// OpenReference is a row that takes part, by the label its expectation has.
struct OpenReference {
  std::string label;
  Sha256Digest id = Sha256Digest::FromArray({});
  std::string device_class;
  std::optional<ReleaseDigest> release;
  std::optional<ReferenceRole> role;
};

struct OpenReferences {
  std::vector<Candidate> candidates;
  std::vector<OpenReference> rows;

  // Matched names the row behind a verdict's matched label: the release when one took part, else
  // the platform's.
  const OpenReference* Matched(const std::string& matched_label) const;
};

// ReferenceReader is thread-safe.
class ReferenceReader {
 public:
  explicit ReferenceReader(size_t files_max) : files_(files_max) {}
  // Open returns what ChooseCandidates makes of the rows of `bank`; nothing when the device has
  // committed to a release that is not measured in it. kInternal ("reference.stored") when a row
  // that was checked at import does not parse.
  Result<OpenReferences> Open(const std::vector<JudgedReference>& rows, pki::HashAlgorithm bank);

 private:
  BoundedCache<Sha256Digest, ReferenceFile> files_;
};

}  // namespace sallyport::server
