// Which alternatives one device may be judged under: the platform references of its class
// (firmware, Secure Boot), combined with those of the OS releases that are open for it. Pure;
// thread-safe.
#pragma once

#include <vector>

#include "attestation-server/evidence/expectation.h"
#include "ota/metadata/release.h"

namespace sallyport::server {

// DeviceSets: `platform` are the class's references that belong to no release; the others come from
// releases. `committed` is what the device last committed to, `pending` what a rollout assigned to
// it, `recovery` what it may fall back to. `own` are complete alternatives that operators approved
// for this device alone.
struct DeviceSets {
  std::vector<Expectation> platform;
  std::vector<Expectation> committed;
  std::vector<Expectation> pending;
  std::vector<Expectation> recovery;
  std::vector<Expectation> own = {};
};

// PutImage puts the PCRs of a release over those of a platform. Where the platform lists the events
// of PCR 4, those from before its own image stay: what a boot loader or shim measured is the
// class's, not the release's. A platform that does not say that Secure Boot is on has two events of
// its image.
void PutImage(const Expectation& release, Expectation& platform);

// ChooseCandidates combines every open release alternative with every platform alternative; on a
// PCR that both name the release wins, because an update changes it and the class's file cannot. A
// device without a committed release is also judged under the platform alternatives alone.
// Alternatives for different Secure Boot states do not combine. Files that may run are those of
// both. An own alternative stands for itself, whatever release is committed, and is one more
// platform for releases to combine with. The order is committed, pending, recovery, own. Empty sets
// give no candidate: such a device fails.
std::vector<Candidate> ChooseCandidates(const DeviceSets& sets);

// ExpectationsOfRelease makes the alternatives of a signed release: PCR 4 by the events it lists,
// once for each Secure Boot state it lists events for, each with PCR 11 when it lists events for
// it.
std::vector<Expectation> ExpectationsOfRelease(const ota::Release& release);

}  // namespace sallyport::server
