// Makes evidence: what the server asked for, signed by this TPM over one transcript
// (docs/protocol.md).
#pragma once

#include <functional>

#include "device-client/agent/evidence.h"
#include "device-client/tpm/tpm.h"
#include "pki/base/file_system.h"

namespace sallyport::device {

inline constexpr uint64_t kNullNameBytesMax = 256;              // 68 hex digits and a newline
inline constexpr uint64_t kEventLogBytesMax = 4 * 1024 * 1024;  // the verifier's cap

// Larger lists are cut by the server's cap on what travels, not here: after the first time only new
// entries do.
inline constexpr uint64_t kImaListBytesMax = 64 * 1024 * 1024;

// BootClaim is what the device says it runs; the verdict judges it.
struct BootClaim {
  pki::BootSlot slot = pki::BootSlot::kUnknown;
  std::optional<ReleaseDigest> release;
};

// AttestationTask is one proof to make.
struct AttestationTask {
  pki::Purpose purpose = pki::Purpose::kEnrol;
  const Challenge& challenge;
  Sha256Digest server_leaf_hash;
  std::string trust_domain;
  Bytes ak_public;
  const TlsKey& tls_key;
  const pki::SecretBytes* secret = nullptr;  // of the activated credential; enrol only
  BootClaim boot;
  uint64_t epoch_held = 0;
  std::string token;
  std::string advertise;
  bool send_log = true;  // false: name the log by its hash only
};

// EvidencePaths are the files that the kernel keeps. A null name that is not there is not offered.
struct EvidencePaths {
  std::string event_log;
  std::string ima_list;
  std::string null_name;
};

// Attester borrows its parts; used by one thread.
class Attester {
 public:
  Attester(Tpm& tpm, FileSystem& files, EvidencePaths paths)
      : tpm_(tpm), files_(files), paths_(std::move(paths)) {}

  // Attest: errors of the TPM; kUnsupported ("challenge.bank") for banks other than sha256 and
  // sha384;
  // kUnavailable when the event log cannot be read (a device without a log has nothing to prove its
  // boot with). A measurement list that cannot be read is left out: the server knows what that
  // means for this class.
  Result<Evidence> Attest(const AttestationTask& task);

 private:
  Result<Bytes> MakeRequest(const TlsKey& key);
  Result<Unit> AttestBoot(const Challenge& challenge, const Sha256Digest& extra_data,
                          Evidence& out);
  void CertifyFloors(const pki::Transcript& transcript, Evidence& out);
  std::optional<ImaPart> ReadImaList(uint64_t first);

  Tpm& tpm_;
  FileSystem& files_;
  const EvidencePaths paths_;
};

}  // namespace sallyport::device
