#include "device-client/tpm/tpm.h"

#include "device-client/tpm/commands.h"
#include "device-client/tpm/owner_thread.h"
#include "pki/base/log.h"

namespace sallyport::device {

// Owner runs the commands on their thread, their construction and end included.
class Tpm::Owner {
 public:
  Owner(std::string tcti, Random& random) : tcti_(std::move(tcti)), random_(random) {}
  ~Owner() {
    thread_.Call([this] { commands_.reset(); });
  }
  Result<Unit> Connect() {
    return thread_.Call([this] { return Reconnect(); });
  }
  template <typename Operation>
  auto Run(Operation operation) {
    return thread_.Call([&]() -> decltype(operation(*commands_)) {
      if (!commands_) SP_TRY(Reconnect());
      auto result = operation(*commands_);
      if (!result && result.error().reason == Reason::kUnavailable) Mend(result.error());
      return result;
    });
  }
  void FlushTlsKey(TlsKeyId key) {
    thread_.Call([&] {
      if (commands_) commands_->FlushTlsKey(key);
    });
  }

 private:
  Result<Unit> Reconnect() {
    SP_TRY(Esys esys, Esys::Connect(tcti_));
    TpmCommands commands(std::move(esys), random_, next_key_);
    SP_TRY(commands.FlushLeftovers());
    if (has_ak_) SP_TRY(commands.EnsureAttestationKey());
    commands_.emplace(std::move(commands));
    return Ok();
  }
  // Mend: a connection that lost an answer, because the kernel gave up waiting for a slow TPM,
  // takes no further command. A new one does, but the keys of the old one are gone with it.
  void Mend(const Error& error) {
    if (commands_->ReadClock()) return;
    Log(LogLevel::kWarning, "tpm_connection_lost", {{"reason", error.ToString()}});
    next_key_ = commands_->next_key();
    has_ak_ = commands_->has_attestation_key();
    commands_.reset();
    const Result<Unit> made = Reconnect();
    if (!made) Log(LogLevel::kError, "tpm_not_connected", {{"reason", made.error().ToString()}});
  }

  const std::string tcti_;
  Random& random_;
  uint64_t next_key_ = 1;
  bool has_ak_ = false;
  std::optional<TpmCommands> commands_;  // all of these are touched by thread_ only
  OwnerThread thread_;
};

Tpm::Tpm(std::unique_ptr<Owner> owner) : owner_(std::move(owner)) {}
Tpm::~Tpm() = default;

Result<std::unique_ptr<Tpm>> Tpm::Open(const std::string& tcti, Random& random) {
  auto owner = std::make_unique<Owner>(tcti, random);
  SP_TRY(owner->Connect());
  return std::unique_ptr<Tpm>(new Tpm(std::move(owner)));
}

Result<Bytes> Tpm::EnsureAttestationKey() {
  return owner_->Run([](TpmCommands& tpm) { return tpm.EnsureAttestationKey(); });
}
Result<EkCertificates> Tpm::ReadEkCertificates(pki::EkTemplate key) {
  return owner_->Run([&](TpmCommands& tpm) { return tpm.ReadEkCertificates(key); });
}
Result<IakVoucher> Tpm::VouchByIak(std::string_view trust_domain, ByteView ek_public) {
  return owner_->Run([&](TpmCommands& tpm) { return tpm.VouchByIak(trust_domain, ek_public); });
}
Result<Bytes> Tpm::EkPublic(pki::EkTemplate key) {
  return owner_->Run([&](TpmCommands& tpm) { return tpm.EkPublic(key); });
}
Result<pki::SecretBytes> Tpm::ActivateCredential(pki::EkTemplate key, ByteView credential_blob,
                                                 ByteView encrypted_secret) {
  return owner_->Run([&](TpmCommands& tpm) {
    return tpm.ActivateCredential(key, credential_blob, encrypted_secret);
  });
}
Result<TlsKey> Tpm::MakeTlsKey(ByteView outside_info) {
  return owner_->Run([&](TpmCommands& tpm) { return tpm.MakeTlsKey(outside_info); });
}
Result<TpmAttestation> Tpm::CertifyCreation(TlsKeyId key, ByteView qualifying_data) {
  return owner_->Run([&](TpmCommands& tpm) { return tpm.CertifyCreation(key, qualifying_data); });
}
Result<TpmAttestation> Tpm::Certify(TlsKeyId key, ByteView qualifying_data) {
  return owner_->Run([&](TpmCommands& tpm) { return tpm.Certify(key, qualifying_data); });
}
Result<Bytes> Tpm::Sign(TlsKeyId key, const Sha256Digest& digest) {
  return owner_->Run([&](TpmCommands& tpm) { return tpm.Sign(key, digest); });
}
void Tpm::FlushTlsKey(TlsKeyId key) { owner_->FlushTlsKey(key); }
Result<TpmQuote> Tpm::Quote(const pki::PcrBank& selection, ByteView qualifying_data) {
  return owner_->Run([&](TpmCommands& tpm) { return tpm.Quote(selection, qualifying_data); });
}
Result<TpmAttestation> Tpm::QuoteBanks(const pki::PcrSelection& selection,
                                       ByteView qualifying_data) {
  return owner_->Run([&](TpmCommands& tpm) { return tpm.QuoteBanks(selection, qualifying_data); });
}
Result<TpmAttestation> Tpm::CertifyNullPrimary(ByteView qualifying_data) {
  return owner_->Run([&](TpmCommands& tpm) { return tpm.CertifyNullPrimary(qualifying_data); });
}
Result<std::map<unsigned, Bytes>> Tpm::ReadPcrs(const pki::PcrBank& selection) {
  return owner_->Run([&](TpmCommands& tpm) { return tpm.ReadPcrs(selection); });
}
Result<pki::ClockInfo> Tpm::ReadClock() {
  return owner_->Run([](TpmCommands& tpm) { return tpm.ReadClock(); });
}
Result<Unit> Tpm::MakeFloorCounters() {
  return owner_->Run([](TpmCommands& tpm) { return tpm.MakeFloorCounters(); });
}
Result<FloorReading> Tpm::ReadFloorCounters() {
  return owner_->Run([](TpmCommands& tpm) { return tpm.ReadFloorCounters(); });
}
Result<Unit> Tpm::IncrementFloorCounter(FloorCounter counter) {
  return owner_->Run([&](TpmCommands& tpm) { return tpm.IncrementFloorCounter(counter); });
}
Result<Unit> Tpm::RemakeFloorCounters(const FloorCounts& floors) {
  return owner_->Run([&](TpmCommands& tpm) { return tpm.RemakeFloorCounters(floors); });
}
Result<std::vector<TpmAttestation>> Tpm::CertifyFloors(ByteView qualifying_data) {
  return owner_->Run([&](TpmCommands& tpm) { return tpm.CertifyFloors(qualifying_data); });
}

}  // namespace sallyport::device
