// Decision: from a verdict and what is known of a device to what becomes of it. Pure: the store's
// record comes in, the record as it shall be goes out.
#pragma once

#include <optional>

#include "attestation-server/enrolment/admission.h"
#include "attestation-server/enrolment/candidates.h"
#include "attestation-server/enrolment/flow.h"
#include "attestation-server/enrolment/intake.h"
#include "attestation-server/evidence/verdict.h"
#include "attestation-server/store/devices.h"

namespace sallyport::server {

// NewDevice is the record of a device that comes in for the first time; nothing is proved yet.
// `ground` names a configured profile.
DeviceRecord NewDevice(const FlowConfig& config, const Case& proof, const AdmissionGround& ground,
                       const std::string& source, UnixTime now);

// CheckStanding says whether the device may try at all. kPolicyDenied: "device.retired",
// "device.not-active" (renewal of a device that is not active), "renew.certification" and
// "key.certification" (the wrong kind of key proof for the purpose); kMismatch "renew.key" (another
// key than the one of this boot), "ak.changed"; kRollback "epoch.ahead" (the device has seen a
// later epoch of this incarnation: this store lost history).
Result<Unit> CheckStanding(const DeviceRecord& device, const Case& proof, uint64_t incarnation);

// MayDisclose: the AK signed exactly what this challenge asked for, so the caller is the device.
bool MayDisclose(const Verdict& verdict);

// IsPostureFailure: the evidence is authentic and what it shows is not accepted. Everything else is
// refused without touching the device: anyone could have sent it.
bool IsPostureFailure(const Case& proof, const Verdict& verdict);

// JudgedBoot is the boot that authentic evidence is about, also when it failed.
std::optional<BootRecord> JudgedBoot(const DeviceRecord& device, const Case& proof,
                                     const Verdict& verdict);

struct PassTerms {
  const ClassTimes& times;
  const OpenReference* matched = nullptr;
  uint64_t incarnation = 0;
  double jitter = 0;  // of the renewal time, -1 to 1
  UnixTime now;
};
// ApplyPass returns the device after passing evidence: active, or still pending. kPolicyDenied:
// "renew.new-boot", "key.outlives-boot", "quarantine.operator" and its like (a cause that a pass
// does not clear), "quarantine.same-boot"; kMismatch "claim.release" (the log shows another release
// than the device says).
Result<DeviceRecord> ApplyPass(DeviceRecord device, const Case& proof, const Verdict& verdict,
                               const PassTerms& terms);

// ApplyFailure returns the device after a posture failure: failing, quarantined, and in its first
// failure of a new epoch, so that every certificate it holds is dead.
DeviceRecord ApplyFailure(DeviceRecord device, const Case& proof, const Verdict& verdict,
                          uint64_t incarnation, UnixTime now);

}  // namespace sallyport::server
