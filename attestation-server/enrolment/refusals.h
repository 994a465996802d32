// Refusals: outward one uniform answer with a reference id, inward the rule under that id in the
// audit.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "attestation-server/enrolment/messages.h"
#include "attestation-server/enrolment/rate_limit.h"
#include "attestation-server/store/database.h"
#include "pki/base/random.h"

namespace sallyport::server {

// RefusalCase is what is known when something is refused.
struct RefusalCase {
  std::string purpose = {};
  std::string source = {};
  std::string device_id = {};     // empty when unknown
  std::string reference_id = {};  // drawn when empty
  bool ak_verified = false;       // the caller is the device: it learns the rule and its own events
  bool audited = false;           // the commit of a failed posture wrote the entry already
  std::vector<std::string> events = {};
};

// Refusals is thread-safe.
class Refusals {
 public:
  // `database` and `random` are borrowed.
  Refusals(Database& database, Random& random, BucketRate strangers)
      : database_(database), random_(random), strangers_(strangers, 1) {}

  std::string NewReferenceId();
  // Make answers at once; the audit entry follows on the writer thread. Entries and log lines about
  // callers whose AK is not verified are bounded in number, so that a flood of strangers does not
  // become a flood of writes.
  Refusal Make(const Error& error, RefusalCase about, UnixTime now, Duration retry_after = {});
  // unaudited counts refusals whose audit entry was dropped.
  uint64_t unaudited() const { return *unaudited_; }

 private:
  void Audit(const Error& error, const RefusalCase& about, UnixTime now);

  Database& database_;
  Random& random_;
  RateLimiter strangers_;
  // Shared with entries still on their way to the writer, which may outlive this object.
  std::shared_ptr<std::atomic<uint64_t>> unaudited_ = std::make_shared<std::atomic<uint64_t>>(0);
};

}  // namespace sallyport::server
