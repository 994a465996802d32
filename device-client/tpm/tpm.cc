#include "device-client/tpm/tpm.h"

#include "device-client/tpm/commands.h"
#include "device-client/tpm/owner_thread.h"

namespace sallyport::device {

// Owner runs the commands on their thread, their construction and end included.
class Tpm::Owner {
 public:
  ~Owner() {
    thread_.Call([this] { commands_.reset(); });
  }
  Result<Unit> Connect(const std::string& tcti, Random& random) {
    return thread_.Call([&]() -> Result<Unit> {
      SP_TRY(Esys esys, Esys::Connect(tcti));
      commands_.emplace(std::move(esys), random);
      return commands_->FlushLeftovers();
    });
  }
  template <typename Operation>
  auto Run(Operation operation) {
    return thread_.Call([&] { return operation(*commands_); });
  }

 private:
  std::optional<TpmCommands> commands_;  // touched by thread_ only
  OwnerThread thread_;
};

Tpm::Tpm(std::unique_ptr<Owner> owner) : owner_(std::move(owner)) {}
Tpm::~Tpm() = default;

Result<std::unique_ptr<Tpm>> Tpm::Open(const std::string& tcti, Random& random) {
  auto owner = std::make_unique<Owner>();
  SP_TRY(owner->Connect(tcti, random));
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
void Tpm::FlushTlsKey(TlsKeyId key) {
  owner_->Run([&](TpmCommands& tpm) { tpm.FlushTlsKey(key); });
}
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
