// EsysTpm: the TPM commands that manufacturers, firmware and tests give. The agent's own TPM code
// is device-client/tpm; this stands on the other side of it and shares nothing with it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "pki/base/digest.h"

namespace sallyport::node {

enum class EkKind : uint8_t { kP256, kRsa2048 };

// PcrBankId is a TPM algorithm id.
using PcrBankId = uint16_t;
inline constexpr PcrBankId kSha1Bank = 0x0004;
inline constexpr PcrBankId kSha256Bank = 0x000B;
inline constexpr PcrBankId kSha384Bank = 0x000C;
inline constexpr PcrBankId kSha512Bank = 0x000D;

// HashForBank is the digest of `parts` that a bank is extended with.
Bytes HashForBank(PcrBankId bank, const std::vector<ByteView>& parts);

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

  // SetBanks turns these PCR banks on and all others off; takes effect at the next power cycle.
  Result<Unit> SetBanks(const std::vector<PcrBankId>& banks);
  // LiveBanks are the banks that are on.
  Result<std::vector<PcrBankId>> LiveBanks();
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

  // Extend takes one digest for each bank that is to be extended.
  Result<Unit> Extend(uint32_t pcr, const std::map<PcrBankId, Bytes>& digests);
  Result<Unit> Extend(uint32_t pcr, const Sha256Digest& digest);
  Result<Bytes> ReadPcr(uint32_t pcr, PcrBankId bank);
  Result<Sha256Digest> ReadPcr(uint32_t pcr);
  Result<ResetCounts> ReadResetCounts();

 private:
  struct State;
  explicit EsysTpm(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::node
