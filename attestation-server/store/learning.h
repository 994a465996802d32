// What devices that failed have shown: digests that no reference has, and sets captured while a
// class is being learned. Written on failure paths only; nothing here admits anything.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "attestation-server/store/references.h"

namespace sallyport::server {

// Observed is one digest (or value) of a PCR that differed.
struct Observed {
  uint32_t pcr = 0;
  std::string digest;  // hex
  auto operator<=>(const Observed&) const = default;
};

// RecordObserved notes that `device_id` showed `what`; the first time stays.
Result<Unit> RecordObserved(Connection& connection, std::string_view device_id,
                            const Observed& what, UnixTime now);

// Others: how many other devices have shown a digest, how many of them fail now, and since when.
struct Others {
  int64_t devices = 0;
  int64_t failing = 0;
  UnixTime since;  // of any device, this one included; 0: never seen
};
Result<Others> CountOthers(Connection& connection, std::string_view device_id,
                           const Observed& what);
// FailingWith lists the ids of failing devices of a class that have shown all of `what`, in order.
Result<std::vector<std::string>> FailingWith(Connection& connection, std::string_view device_class,
                                             const std::vector<Observed>& what);

// A learning window is open from its opening until `closes_at`.
struct LearningWindow {
  std::string device_class;
  std::string opened_by;
  UnixTime opened_at;
  UnixTime closes_at;
};
// OpenWindow replaces the window of the class.
Result<Unit> OpenWindow(Connection& connection, const LearningWindow& window);
Result<Unit> CloseWindow(Connection& connection, std::string_view device_class);
Result<std::optional<LearningWindow>> FindWindow(Connection& connection,
                                                 std::string_view device_class);

// Capture keeps `json` as a set in state learning and notes who showed it; says whether the device
// is new to it. kTooLarge ("learning.full") when the class has kLearnedSetsMax others. A set in
// another state is left alone. Raises no epoch: such a set judges nobody.
struct Flag {
  bool value;
};
Result<Flag> Capture(Connection& connection, const ReferenceRow& row, std::string_view device_id);
// LearnedFrom lists the devices that showed a set.
Result<std::vector<std::string>> LearnedFrom(Connection& connection, const Sha256Digest& id);

}  // namespace sallyport::server
