// PowerCutDrill plays one whole update on an UpdateWorld with the power cut at one chosen
// operation, the boot loader's own writes included, and says whether the machine kept every
// promise: what boots is a verified slot and never the one being written; the target is tried at
// most twice; firmware is offered whole capsules of a release that is installed, and of no other;
// in the end the new release is committed with all its components, or the old one runs and the
// refusal is remembered, and nothing is left for the firmware to take.
#pragma once

#include <optional>
#include <string>

#include "tests/fakes/update_world.h"

namespace sallyport {

enum class Delivery : uint8_t {
  kFull,
  kResumed,      // the source breaks off in the middle; the second call goes on
  kOverArmed,    // full, into a slot that was armed by something else
  kDelta,        // from what the running slot holds
  kChunks,       // from the chunks that the running slot holds
  kComponents,   // full, with files beside the image and firmware
  kSuperseding,  // the same, while another release with firmware is armed
};
enum class Fate : uint8_t {
  kGood,       // the trial is attested
  kRefused,    // the server refuses the trial's evidence
  kPanics,     // the new slot never comes up
  kCalledOff,  // it is no longer assigned once it is armed
};
inline constexpr Delivery kDeliveries[] = {
    Delivery::kFull,   Delivery::kResumed,    Delivery::kOverArmed,  Delivery::kDelta,
    Delivery::kChunks, Delivery::kComponents, Delivery::kSuperseding};
inline constexpr Fate kFates[] = {Fate::kGood, Fate::kRefused, Fate::kPanics, Fate::kCalledOff};
std::string_view DeliveryName(Delivery delivery);
std::string_view FateName(Fate fate);

struct DrillScenario {
  BootLoader loader;
  Delivery delivery;
  Fate fate;
};

// PowerCut: the operation, counted over the whole drill, that is the first not to happen, and what
// is lost with it (memory_file_system.h). A `kill` ends the agent alone: nothing is lost yet, the
// next agent goes on in the same boot.
struct PowerCut {
  uint64_t at;
  PowerLoss loss;
  uint64_t seed = 0;
  bool kill = false;
};

enum class DrillEnd : uint8_t { kCommitted, kRolledBack };

struct DrillReport {
  std::string problem;  // empty when every promise was kept
  DrillEnd end = DrillEnd::kCommitted;
  std::string phase;        // what the cut hit
  uint64_t operations = 0;  // that the drill had in all
};

// DrillReleases are the releases before and after; `installed` may be larger than a test's usual.
struct DrillReleases {
  TestRelease installed;
  TestRelease target;
  TestRelease delta;       // the target for kDelta
  TestRelease large;       // installed for kChunks: an image of some chunks
  TestRelease chunks;      // the target for it
  TestRelease components;  // the target for kComponents and kSuperseding
  TestRelease superseded;
  static DrillReleases Make(const TestSizes& sizes);
  const TestRelease& Before(Delivery delivery) const;
  const TestRelease& Target(Delivery delivery) const;
};

// Drill plays `scenario`, with a cut or without.
DrillReport Drill(const DrillReleases& releases, const DrillScenario& scenario,
                  const std::vector<PowerCut>& cuts);

}  // namespace sallyport
