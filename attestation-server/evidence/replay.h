// Replay: what the PCRs must hold if a log is true. Pure; thread-safe.
#pragma once

#include "attestation-server/evidence/event_data.h"
#include "attestation-server/evidence/event_log.h"
#include "attestation-server/evidence/grammar.h"

namespace sallyport::server {

// ReplayedBank is the replayed state of one bank. PCRs the log does not touch hold no entry in
// `touched`.
class ReplayedBank {
 public:
  ReplayedBank(Bank bank, uint8_t startup_locality);
  Bank bank() const { return bank_; }
  // value is the initial value when the log does not touch `pcr` (< 24).
  const PcrDigest& value(uint32_t pcr) const { return values_[pcr]; }
  bool touched(uint32_t pcr) const { return (touched_ >> pcr & 1) != 0; }
  void Extend(uint32_t pcr, ByteView digest);

 private:
  Bank bank_;
  uint32_t touched_ = 0;
  std::array<PcrDigest, kPcrCount> values_;
};

// Replay extends every event but EV_NO_ACTION and those without a digest of `bank`, from the
// initial values of the specification: PCR 0 from the startup locality, PCR 17 to 22 from all ones,
// the others from zero.
ReplayedBank Replay(const EventLog& log, Bank bank);

// ReplayedLog is one log, its hash, and in the judged bank its replay and the grammar of each PCR:
// all of a log that does not depend on the quote, the device or the references, so that a shell may
// keep it by `hash` for the renewals of a boot. Owns the bytes; movable, not copyable; immutable.
class ReplayedLog {
 public:
  // Make parses and replays. Besides the rules of ParseEventLog:
  //   legacy-log  a SHA-1-only log, which authenticates nothing
  //   log.bank    the log does not carry `bank`
  //   log.digests an event lacks one of the declared algorithms
  static Result<ReplayedLog> Make(Bytes bytes, pki::HashAlgorithm bank);

  const Sha256Digest& hash() const { return hash_; }
  const EventLog& log() const { return log_; }
  const ReplayedBank& pcrs() const { return pcrs_; }
  // grammar borrows from this object.
  const PcrGrammar& grammar(uint32_t pcr) const { return grammars_[pcr]; }
  Bank bank() const { return pcrs_.bank(); }
  const Bytes& bytes() const { return bytes_; }

  ReplayedLog(ReplayedLog&&) noexcept = default;
  ReplayedLog& operator=(ReplayedLog&&) noexcept = default;

 private:
  ReplayedLog(Bytes bytes, EventLog log, ReplayedBank pcrs);
  Bytes bytes_;  // borrowed by log_, which grammars_ borrows: moved vectors keep their buffers
  Sha256Digest hash_;
  EventLog log_;
  ReplayedBank pcrs_;
  std::vector<PcrGrammar> grammars_;
};

}  // namespace sallyport::server
