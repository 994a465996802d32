// Tpm: the one owner of a device's TPM. Nothing else in the process talks to it.
//
// ESAPI contexts are not thread-safe and objects in a TPM are few (three on many), so one thread
// owns the connection and runs each operation to its end; the public methods post to it and wait.
// A connection that broke is made anew after the operation that failed with it; TLS keys do not
// survive that, and their operations then say kNotFound, tls-key.gone.
// Transient objects are flushed on every path, and those of a crashed predecessor are flushed by
// Open.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "pki/base/random.h"
#include "pki/crypto/secret.h"
#include "pki/tpm/attest.h"
#include "pki/tpm/floor_indices.h"
#include "pki/tpm/make_credential.h"

namespace sallyport::device {

// kAkPersistentHandle keeps the attestation key, made once per TPM.
inline constexpr uint32_t kAkPersistentHandle = 0x81010A01;

struct EkCertificates {
  pki::EkTemplate key;
  Bytes leaf;                // DER, without the padding some vendors store
  std::vector<Bytes> chain;  // DER, as the TPM's chain range holds it
};

// TlsKeyId names a TLS key of this Tpm object; never reused.
enum class TlsKeyId : uint64_t {};

struct TlsKey {
  TlsKeyId id;
  Bytes public_area;    // TPMT_PUBLIC
  Bytes creation_data;  // TPMS_CREATION_DATA
};

// TpmAttestation is what the AK signed, as docs/protocol.md carries it.
struct TpmAttestation {
  Bytes attest;     // TPMS_ATTEST
  Bytes signature;  // TPMT_SIGNATURE
};

// IakVoucher is the maker's word on this TPM (docs/protocol.md, Begin).
struct IakVoucher {
  std::vector<Bytes> chain;  // DER, IAK certificate first
  Bytes iak_public;          // TPMT_PUBLIC
  TpmAttestation certified;  // TPM2_Certify of the AK by the IAK
};

struct TpmQuote {
  TpmAttestation signed_by_ak;
  std::map<unsigned, Bytes> pcr_values;  // read around the quote without a change between
};

using pki::FloorCounter;
using pki::FloorCounts;
using pki::kFloorCounters;

struct FloorReading {
  FloorCounts floors;
  Bytes base;  // where the counters began; another one means that they were made anew
};

// Tpm: thread-safe; methods block until the TPM has answered. Errors of all: kUnavailable (rule
// tpm.<command>) with the TPM's own words; kNotFound for a handle that is gone (after a reset, all
// TLS keys are); kRateLimited when the TPM is in dictionary attack lockout.
class Tpm {
 public:
  // Open connects to `tcti` ("device:/dev/tpmrm0", "swtpm:path=<socket>") and flushes what earlier
  // owners left behind. `random` must outlive the Tpm.
  static Result<std::unique_ptr<Tpm>> Open(const std::string& tcti, Random& random);
  ~Tpm();
  Tpm(const Tpm&) = delete;
  Tpm& operator=(const Tpm&) = delete;

  // EnsureAttestationKey makes the AK when it is not there, and returns its TPMT_PUBLIC. kMismatch
  // (rule ak.foreign) when the handle holds something else; it is left alone.
  Result<Bytes> EnsureAttestationKey();
  // ReadEkCertificates: kNotFound when the TPM's NV holds none for `key`; kMalformed
  // (ek-certificate.der).
  Result<EkCertificates> ReadEkCertificates(pki::EkTemplate key);
  // VouchByIak finds an Initial Attestation Key with its certificate, and lets it certify the AK
  // for this trust domain and EK. Needs EnsureAttestationKey. kNotFound (iak.missing) when the
  // TPM's NV and reserved handles hold no such pair.
  Result<IakVoucher> VouchByIak(std::string_view trust_domain, ByteView ek_public);
  // EkPublic makes the endorsement key again from its template and returns its TPMT_PUBLIC. Seconds
  // with RSA on real TPMs.
  Result<Bytes> EkPublic(pki::EkTemplate key);
  // ActivateCredential opens what MakeCredential wrapped for the AK's Name and this EK.
  // kBadSignature when it was wrapped for another Name or EK. The secret crosses the bus encrypted,
  // in a session salted with the EK.
  Result<pki::SecretBytes> ActivateCredential(pki::EkTemplate key, ByteView credential_blob,
                                              ByteView encrypted_secret);

  // MakeTlsKey makes a P-256 signing key in the null hierarchy: it never leaves the TPM and ends
  // with the boot. `outside_info` (at most 64 bytes, the nonce) is part of its creation data.
  Result<TlsKey> MakeTlsKey(ByteView outside_info);
  // CertifyCreation proves that the TPM made the key now, with its creation data. Needs
  // EnsureAttestationKey.
  Result<TpmAttestation> CertifyCreation(TlsKeyId key, ByteView qualifying_data);
  // Certify proves that the key is in this TPM.
  Result<TpmAttestation> Certify(TlsKeyId key, ByteView qualifying_data);
  // Sign returns a DER ECDSA signature of a SHA-256 digest.
  Result<Bytes> Sign(TlsKeyId key, const Sha256Digest& digest);
  // FlushTlsKey ends the key; unknown ids are fine.
  void FlushTlsKey(TlsKeyId key);

  // Quote signs the PCRs of one bank. kConflict (rule quote.pcrs-moving) when they change all the
  // time.
  Result<TpmQuote> Quote(const pki::PcrBank& selection, ByteView qualifying_data);
  // QuoteBanks signs all banks of `selection` at once; the TPM leaves those out that are switched
  // off. kUnavailable when it has never heard of one of them.
  Result<TpmAttestation> QuoteBanks(const pki::PcrSelection& selection, ByteView qualifying_data);
  // CertifyNullPrimary makes the primary key that Linux makes of the null seed when it starts, and
  // certifies it: its Name changes with every reset of the TPM.
  Result<TpmAttestation> CertifyNullPrimary(ByteView qualifying_data);
  Result<std::map<unsigned, Bytes>> ReadPcrs(const pki::PcrBank& selection);
  Result<pki::ClockInfo> ReadClock();

  // The rollback floors; contracts in floor_counters.h.
  Result<Unit> MakeFloorCounters();
  Result<FloorReading> ReadFloorCounters();
  Result<Unit> IncrementFloorCounter(FloorCounter counter);
  Result<Unit> RemakeFloorCounters(const FloorCounts& floors);
  // CertifyFloors: TPM2_NV_Certify of the base and each counter, in this order, by the AK. Errors
  // of ReadFloorCounters. Needs EnsureAttestationKey.
  Result<std::vector<TpmAttestation>> CertifyFloors(ByteView qualifying_data);

 private:
  class Owner;
  explicit Tpm(std::unique_ptr<Owner> owner);
  std::unique_ptr<Owner> owner_;
};

}  // namespace sallyport::device
