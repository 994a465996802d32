// The words of the store: each enum is a TEXT column with the same CHECK list (architecture 8).
#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "attestation-server/evidence/reference_role.h"
#include "attestation-server/evidence/tpm_health.h"
#include "attestation-server/reference/life_cycle.h"
#include "pki/base/result.h"

namespace sallyport::server {

enum class DeviceState : uint8_t { kPending, kEnrolled, kActive, kQuarantined, kRetired };
enum class Posture : uint8_t { kUnknown, kPassing, kFailing, kExpired };
enum class QuarantineCause : uint8_t { kPosture, kOperator, kClone, kTpmChanged, kRestore };
enum class ProvenanceKind : uint8_t { kToken, kEkList, kOperator };
enum class IssuerState : uint8_t { kPrepared, kActive, kRetiring, kTainted, kPruned };
enum class IssuerRole : uint8_t { kDevice, kServer };
enum class RolloutState : uint8_t {
  kDraft,
  kSigned,
  kApproved,
  kCanary,
  kRamp,
  kBake,
  kComplete,
  kPaused,
  kHalted,
  kReverting,
  kAborted,
  kScheduled,
};
enum class UpdateState : uint8_t {
  kIdle,
  kPlanned,
  kWriting,
  kWritten,
  kVerified,
  kArmed,
  kTrial,
  kCommitted,
  kFailed,
  kRolledBack,
  kDegraded,
};
// ReferenceScope: a set judges every device of its class, or the devices that it is assigned to.
enum class ReferenceScope : uint8_t { kClass, kDevices };
enum class RolloutWave : uint8_t { kCanary, kRest };

template <typename E>
struct Word {
  E value;
  std::string_view text;
};

// Words<E>::kTable lists every value of E with its text; the lists are those of
// migrations/*.sql.
template <typename E>
struct Words;

template <>
struct Words<DeviceState> {
  static constexpr std::array kTable{
      Word{DeviceState::kPending, "pending"}, Word{DeviceState::kEnrolled, "enrolled"},
      Word{DeviceState::kActive, "active"}, Word{DeviceState::kQuarantined, "quarantined"},
      Word{DeviceState::kRetired, "retired"}};
};
template <>
struct Words<TpmKind> {
  static constexpr std::array kTable{
      Word{TpmKind::kUnknown, "unknown"}, Word{TpmKind::kDiscrete, "dtpm"},
      Word{TpmKind::kFirmware, "ftpm"}, Word{TpmKind::kVirtual, "vtpm"}};
};
template <>
struct Words<NullNameState> {
  static constexpr std::array kTable{Word{NullNameState::kUnknown, "unknown"},
                                     Word{NullNameState::kNotOffered, "not-offered"},
                                     Word{NullNameState::kCertified, "certified"}};
};
template <>
struct Words<Posture> {
  static constexpr std::array kTable{
      Word{Posture::kUnknown, "unknown"}, Word{Posture::kPassing, "passing"},
      Word{Posture::kFailing, "failing"}, Word{Posture::kExpired, "expired"}};
};
template <>
struct Words<QuarantineCause> {
  static constexpr std::array kTable{
      Word{QuarantineCause::kPosture, "posture"}, Word{QuarantineCause::kOperator, "operator"},
      Word{QuarantineCause::kClone, "clone"}, Word{QuarantineCause::kTpmChanged, "tpm-changed"},
      Word{QuarantineCause::kRestore, "restore"}};
};
template <>
struct Words<ProvenanceKind> {
  static constexpr std::array kTable{Word{ProvenanceKind::kToken, "token"},
                                     Word{ProvenanceKind::kEkList, "ek-list"},
                                     Word{ProvenanceKind::kOperator, "operator"}};
};
template <>
struct Words<ReferenceState> {
  static constexpr std::array kTable{
      Word{ReferenceState::kLearning, "learning"}, Word{ReferenceState::kCandidate, "candidate"},
      Word{ReferenceState::kActive, "active"}, Word{ReferenceState::kRetiring, "retiring"},
      Word{ReferenceState::kRetired, "retired"}};
};
template <>
struct Words<ReferenceRole> {
  static constexpr std::array kTable{
      Word{ReferenceRole::kCommitted, "committed"}, Word{ReferenceRole::kPending, "pending"},
      Word{ReferenceRole::kRecovery, "recovery"}, Word{ReferenceRole::kOwn, "own"}};
};
template <>
struct Words<ReferenceScope> {
  static constexpr std::array kTable{Word{ReferenceScope::kClass, "class"},
                                     Word{ReferenceScope::kDevices, "devices"}};
};
template <>
struct Words<IssuerState> {
  static constexpr std::array kTable{
      Word{IssuerState::kPrepared, "prepared"}, Word{IssuerState::kActive, "active"},
      Word{IssuerState::kRetiring, "retiring"}, Word{IssuerState::kTainted, "tainted"},
      Word{IssuerState::kPruned, "pruned"}};
};
template <>
struct Words<IssuerRole> {
  static constexpr std::array kTable{Word{IssuerRole::kDevice, "device"},
                                     Word{IssuerRole::kServer, "server"}};
};
template <>
struct Words<RolloutState> {
  static constexpr std::array kTable{
      Word{RolloutState::kDraft, "draft"},         Word{RolloutState::kSigned, "signed"},
      Word{RolloutState::kApproved, "approved"},   Word{RolloutState::kScheduled, "scheduled"},
      Word{RolloutState::kCanary, "canary"},       Word{RolloutState::kRamp, "ramp"},
      Word{RolloutState::kBake, "bake"},           Word{RolloutState::kComplete, "complete"},
      Word{RolloutState::kPaused, "paused"},       Word{RolloutState::kHalted, "halted"},
      Word{RolloutState::kReverting, "reverting"}, Word{RolloutState::kAborted, "aborted"}};
};
template <>
struct Words<UpdateState> {
  static constexpr std::array kTable{
      Word{UpdateState::kIdle, "IDLE"},         Word{UpdateState::kPlanned, "PLANNED"},
      Word{UpdateState::kWriting, "WRITING"},   Word{UpdateState::kWritten, "WRITTEN"},
      Word{UpdateState::kVerified, "VERIFIED"}, Word{UpdateState::kArmed, "ARMED"},
      Word{UpdateState::kTrial, "TRIAL"},       Word{UpdateState::kCommitted, "COMMITTED"},
      Word{UpdateState::kFailed, "FAILED"},     Word{UpdateState::kRolledBack, "ROLLED_BACK"},
      Word{UpdateState::kDegraded, "DEGRADED"}};
};
template <>
struct Words<RolloutWave> {
  static constexpr std::array kTable{Word{RolloutWave::kCanary, "canary"},
                                     Word{RolloutWave::kRest, "rest"}};
};

template <typename E>
constexpr std::string_view TextOf(E value) {
  for (const Word<E>& word : Words<E>::kTable)
    if (word.value == value) return word.text;
  std::abort();
}

// ParseWord returns kMalformed for a text that is no word of E.
template <typename E>
Result<E> ParseWord(std::string_view text) {
  for (const Word<E>& word : Words<E>::kTable)
    if (word.text == text) return word.value;
  return Error{Reason::kMalformed, "unknown word '" + std::string(text) + "'", "store.word"};
}

// Causes is the set of reasons for a quarantine; empty outside quarantine.
using Causes = std::set<QuarantineCause>;

// One TEXT, comma-separated, in the order of the enum.
std::string JoinCauses(const Causes& causes);
Result<Causes> ParseCauses(std::string_view text);

}  // namespace sallyport::server
