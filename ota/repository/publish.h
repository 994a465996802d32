// Publishing: staged documents that reached their thresholds become immutable files, then snapshot
// and timestamp are signed by the online keys. The result is verified as a device would before it
// is written.
#pragma once

#include "ota/repository/folder.h"

namespace sallyport::ota {

struct OnlineKeys {
  Signer snapshot;
  Signer timestamp;
};

// Lifetimes of the online roles: long enough to survive an outage of the publisher, short enough to
// show a frozen mirror.
struct OnlineLifetimes {
  Duration snapshot = Days(7);
  Duration timestamp = Days(1);
};

struct PublishReport {
  std::vector<std::string> published;  // e.g. `2.targets.json`, in the order written
};

// Publish: kPolicyDenied, rule repository.threshold, when a draft still lacks signatures; otherwise
// the rules of trusted_metadata.h when a device would refuse the result. Nothing is written on a
// refusal. Without drafts it signs the timestamp anew, and the snapshot when half of its life is
// over.
Result<PublishReport> Publish(RepositoryFolder& folder, const std::string& trust_domain,
                              const OnlineKeys& keys, const OnlineLifetimes& lifetimes,
                              UnixTime now);

// RenewOnline signs the online roles anew when a third of the timestamp's life is left, and reports
// what it wrote. It leaves drafts alone: people publish, timers do not, and a draft that waits for
// signatures must not let the repository expire.
Result<PublishReport> RenewOnline(RepositoryFolder& folder, const std::string& trust_domain,
                                  const OnlineKeys& keys, const OnlineLifetimes& lifetimes,
                                  UnixTime now);

}  // namespace sallyport::ota
