// TpmCommands: the operations of Tpm (tpm.h) as they run on its owner thread. Private to
// device-client/tpm.
#pragma once

#include <map>
#include <optional>

#include "device-client/tpm/esys.h"
#include "device-client/tpm/tpm.h"

namespace sallyport::device {

// TpmCommands: one thread at a time. Contracts and errors are those of Tpm's methods of the same
// names.
class TpmCommands {
 public:
  // TLS keys are numbered from `next_key` on, so that none is taken for one of an older connection.
  TpmCommands(Esys esys, Random& random, uint64_t next_key)
      : esys_(std::move(esys)), random_(random), next_key_(next_key) {}
  uint64_t next_key() const { return next_key_; }
  bool has_attestation_key() const { return ak_.has_value(); }

  Result<Unit> FlushLeftovers();
  Result<Bytes> EnsureAttestationKey();
  Result<EkCertificates> ReadEkCertificates(pki::EkTemplate key);
  Result<Bytes> EkPublic(pki::EkTemplate key);
  Result<pki::SecretBytes> ActivateCredential(pki::EkTemplate key, ByteView credential_blob,
                                              ByteView encrypted_secret);
  Result<TlsKey> MakeTlsKey(ByteView outside_info);
  Result<TpmAttestation> CertifyCreation(TlsKeyId key, ByteView qualifying_data);
  Result<TpmAttestation> Certify(TlsKeyId key, ByteView qualifying_data);
  Result<Bytes> Sign(TlsKeyId key, const Sha256Digest& digest);
  void FlushTlsKey(TlsKeyId key) { tls_keys_.erase(key); }
  Result<IakVoucher> VouchByIak(std::string_view trust_domain, ByteView ek_public);
  Result<TpmQuote> Quote(const pki::PcrBank& selection, ByteView qualifying_data);
  Result<TpmAttestation> QuoteBanks(const pki::PcrSelection& selection, ByteView qualifying_data);
  Result<TpmAttestation> CertifyNullPrimary(ByteView qualifying_data);
  Result<std::map<unsigned, Bytes>> ReadPcrs(const pki::PcrBank& selection);
  Result<pki::ClockInfo> ReadClock();
  Result<Unit> MakeFloorCounters();
  Result<FloorReading> ReadFloorCounters();
  Result<Unit> IncrementFloorCounter(FloorCounter counter);
  Result<Unit> RemakeFloorCounters(const FloorCounts& floors);
  Result<std::vector<TpmAttestation>> CertifyFloors(ByteView qualifying_data);

 private:
  struct Primary {
    TransientObject object;
    EsysPtr<TPM2B_PUBLIC> area;
    EsysPtr<TPM2B_CREATION_DATA> creation_data;
    EsysPtr<TPM2B_DIGEST> creation_hash;
    EsysPtr<TPMT_TK_CREATION> ticket;
  };
  struct PcrReading {
    std::map<unsigned, Bytes> values;
    uint32_t update_counter;
  };

  ESYS_CONTEXT* context() const { return esys_.get(); }
  Result<Unit> FlushHandles(uint32_t first, bool session);
  Result<std::vector<uint32_t>> Handles(uint32_t first);
  Result<Primary> CreatePrimary(ESYS_TR hierarchy, const pki::PublicArea& area,
                                ByteView outside_info);
  Result<Primary> CreatePrimary(ESYS_TR hierarchy, const TPM2B_PUBLIC& wanted,
                                ByteView outside_info);
  Result<std::optional<ESYS_TR>> FindPersistent(uint32_t handle);
  Result<Bytes> PublicOf(ESYS_TR handle, uint32_t hierarchy);
  Result<ESYS_TR> AttestationKey() const;
  // QuoteOnce is one TPM2_Quote by the attestation key; `rule` names its failure.
  Result<TpmAttestation> QuoteOnce(const TPML_PCR_SELECTION& pcrs, ByteView qualifying_data,
                                   std::string_view rule);
  // CertifyWith lets `signer` certify `object`; both have empty passwords.
  Result<TpmAttestation> CertifyWith(ESYS_TR object, ESYS_TR signer, ByteView qualifying_data);
  Result<std::vector<Bytes>> ReadMakerCertificates();
  Result<Primary*> FindTlsKey(TlsKeyId key);
  Result<Bytes> ReadNv(uint32_t index);
  Result<TransientObject> EkSession(ESYS_TR ek, bool high_range);
  struct NvIndex;
  Result<std::unique_ptr<NvIndex>> FindNv(const TPMS_NV_PUBLIC& wanted);
  Result<std::unique_ptr<NvIndex>> FindOrDefineNv(const TPMS_NV_PUBLIC& wanted);
  Result<Bytes> ReadNv(const NvIndex& index);
  Result<uint64_t> ReadCount(const NvIndex& index);
  Result<Unit> IncrementNv(const NvIndex& index);
  Result<uint64_t> MakeCounter(FloorCounter counter);
  Result<Unit> SealBase(const FloorCounts& counts);
  Result<FloorCounts> MakeCounters();
  Result<Unit> UndefineNv(const NvIndex& index);
  // CertifyNv lets the AK certify all `size` bytes of an index with an empty password.
  Result<TpmAttestation> CertifyNv(ESYS_TR index, uint16_t size, ByteView qualifying_data);
  Result<PcrReading> ReadPcrsOnce(const pki::PcrBank& selection);

  Esys esys_;
  Random& random_;
  std::optional<ESYS_TR> ak_;  // persistent, not flushed
  std::map<TlsKeyId, Primary> tls_keys_;
  uint64_t next_key_;
};

}  // namespace sallyport::device
