// EsysTpm: the TPM commands that manufacturers, firmware and tests give. The agent's own TPM code
// is device-client/tpm; this stands on the other side of it and shares nothing with it.
#pragma once

#include <memory>
#include <string>

#include "pki/base/digest.h"

namespace sallyport::node {

enum class EkKind : uint8_t { kP256, kRsa2048 };

struct ResetCounts {
  uint32_t reset_count;
  uint32_t restart_count;
};

// EsysTpm is one ESAPI connection; one thread at a time. Every call returns kUnavailable with the
// TPM's own words when the TPM refuses.
class EsysTpm {
 public:
  static Result<EsysTpm> Connect(const std::string& tcti);
  EsysTpm(EsysTpm&&) noexcept;
  EsysTpm& operator=(EsysTpm&&) noexcept;
  ~EsysTpm();

  // OnlySha256Bank turns the other PCR banks off; takes effect at the next power cycle.
  Result<Unit> OnlySha256Bank();
  // EkSpki makes the endorsement key of the TCG's low-range template, and forgets the handle again.
  Result<Bytes> EkSpki(EkKind kind);
  // MakeIak makes an Initial Attestation Key (P-256, endorsement hierarchy) at `handle`, and
  // returns its SubjectPublicKeyInfo.
  Result<Bytes> MakeIak(uint32_t handle);
  // WriteCertificate defines `nv_index` as a manufacturer does (platform-created, no dictionary
  // attack protection, readable by all) and writes it. An index of that name is replaced.
  Result<Unit> WriteCertificate(uint32_t nv_index, ByteView certificate);
  // LockPlatform gives the platform hierarchy a random password until the next power cycle, as
  // firmware does before it starts anything.
  Result<Unit> LockPlatform(ByteView password);

  Result<Unit> Extend(uint32_t pcr, const Sha256Digest& digest);
  Result<Sha256Digest> ReadPcr(uint32_t pcr);
  Result<ResetCounts> ReadResetCounts();

 private:
  struct State;
  explicit EsysTpm(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::node
