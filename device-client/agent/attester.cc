#include "device-client/agent/attester.h"

#include "pki/base/log.h"
#include "pki/crypto/hash.h"
#include "pki/tpm/measurement_list.h"
#include "pki/tpm/name.h"
#include "pki/tpm/public_area.h"
#include "pki/x509/csr.h"

namespace sallyport::device {
namespace {

constexpr pki::HashAlgorithm kBanks[] = {pki::HashAlgorithm::kSha256, pki::HashAlgorithm::kSha384};

Result<uint32_t> BitmapOf(const std::vector<unsigned>& pcrs) {
  uint32_t bitmap = 0;
  for (const unsigned pcr : pcrs) {
    if (pcr >= pki::tpm::kPcrCount)
      return Error{Reason::kMalformed, "no such pcr", "challenge.pcr"};
    bitmap |= 1u << pcr;
  }
  return bitmap;
}

Result<pki::PcrBank> BankOf(const PcrRequest& request) {
  const auto bank = std::ranges::find(kBanks, request.bank, pki::HashName);
  if (bank == std::end(kBanks))
    return Error{Reason::kUnsupported, "the server asks for bank '" + request.bank + "'",
                 "challenge.bank"};
  SP_TRY(const uint32_t bitmap, BitmapOf(request.pcrs));
  return pki::PcrBank{static_cast<uint16_t>(*bank), bitmap};
}

Result<pki::PcrSelection> SelectionOf(const BankAuditRequest& request) {
  if (request.banks.size() > pki::kPcrBanksMax)
    return Error{Reason::kUnsupported, "more banks than a tpm has", "challenge.bank"};
  SP_TRY(const uint32_t bitmap, BitmapOf(request.pcrs));
  pki::PcrSelection out;
  for (const uint16_t bank : request.banks) out.push_back({bank, bitmap});
  return out;
}

Result<Bytes> NameOfArea(ByteView area) {
  SP_TRY(const pki::PublicArea parsed, pki::ParsePublicArea(area));
  return pki::ObjectName(parsed);
}

}  // namespace

Result<Bytes> Attester::MakeRequest(const TlsKey& key) {
  SP_TRY(const pki::PublicArea area, pki::ParsePublicArea(key.public_area));
  SP_TRY(const pki::PublicKey public_key, area.ToPublicKey());
  return pki::MakeCsr(public_key.spki(), [&](ByteView to_be_signed) {
    return tpm_.Sign(key.id, pki::Sha256(to_be_signed));
  });
}

// AttestBoot adds what a new boot has to show once: its live banks, and that the TPM was not reset
// since the kernel started, where the kernel lets that be shown.
Result<Unit> Attester::AttestBoot(const Challenge& challenge, const Sha256Digest& extra_data,
                                  Evidence& out) {
  if (!challenge.bank_audit) return Ok();
  SP_TRY(const pki::PcrSelection selection, SelectionOf(*challenge.bank_audit));
  SP_TRY(TpmAttestation audit, tpm_.QuoteBanks(selection, extra_data.view()));
  out.quotes.push_back({std::move(audit.attest), std::move(audit.signature), {}});
  const auto shown = ReadFile(files_, paths_.null_name, kNullNameBytesMax);
  if (!shown && shown.error().reason == Reason::kNotFound) return Ok();
  SP_TRY(const Bytes text, std::move(shown));
  std::string_view hex = AsText(text);
  while (!hex.empty() && (hex.back() == '\n' || hex.back() == '\0')) hex.remove_suffix(1);
  SP_TRY(out.null_name, HexDecode(hex));
  SP_TRY(TpmAttestation certified, tpm_.CertifyNullPrimary(extra_data.view()));
  out.null_name_attest = std::move(certified.attest);
  out.null_name_signature = std::move(certified.signature);
  return Ok();
}

std::optional<ImaPart> Attester::ReadImaList(uint64_t first) {
  const auto unusable = [](const Error& error) {
    Log(LogLevel::kError, "measurement_list_unusable", {{"reason", error.ToString()}});
    return std::nullopt;
  };
  const Result<Bytes> list = ReadFile(files_, paths_.ima_list, kImaListBytesMax);
  if (!list) return unusable(list.error());
  const auto added = pki::AfterEntries(*list, first);
  if (!added) return unusable(added.error());
  // Fewer entries than the server has seen: another boot, or another list.
  if (!added->has_value()) return ImaPart{0, *list};
  return ImaPart{first, ToBytes(**added)};
}

// A device without floors, or whose floors are not whole, has none to show; nor has a TPM that
// cannot certify them. The server knows what it has seen before.
void Attester::CertifyFloors(const pki::Transcript& transcript, Evidence& out) {
  const Result<std::vector<TpmAttestation>> floors =
      tpm_.CertifyFloors(pki::FloorsQualifyingData(transcript).view());
  if (!floors)
    return Log(LogLevel::kInfo, "floors_not_shown", {{"reason", floors.error().ToString()}});
  for (const TpmAttestation& each : *floors) out.floors.push_back({each.attest, each.signature});
}

Result<Evidence> Attester::Attest(const AttestationTask& task) {
  Evidence out;
  SP_TRY(const Bytes log, ReadFile(files_, paths_.event_log, kEventLogBytesMax));
  out.event_log_hash = pki::Sha256(log);
  if (task.send_log) out.event_log = log;
  out.tls_public = task.tls_key.public_area;
  out.boot_slot = task.boot.slot;
  out.running_release = task.boot.release;
  out.epoch_held = task.epoch_held;
  out.token = task.token;
  out.advertise = task.advertise;
  SP_TRY(out.csr, MakeRequest(task.tls_key));
  SP_TRY(const Bytes ak_name, NameOfArea(task.ak_public));
  SP_TRY(const Bytes tls_name, NameOfArea(task.tls_key.public_area));
  const pki::Transcript transcript =
      pki::ComputeTranscript({.purpose = task.purpose,
                              .trust_domain = task.trust_domain,
                              .server_leaf_hash = task.server_leaf_hash,
                              .ticket_id = task.challenge.ticket_id,
                              .nonce = task.challenge.nonce,
                              .device_id = task.challenge.device_id,
                              .ek_spki_hash = task.challenge.ek_spki_hash,
                              .ak_name = ak_name,
                              .tls_key_name = tls_name,
                              .csr_hash = pki::Sha256(out.csr),
                              .event_log_hash = out.event_log_hash,
                              .boot_slot = task.boot.slot,
                              .running_release = task.boot.release,
                              .highest_epoch = task.epoch_held});
  const bool renewal = task.purpose == pki::Purpose::kRenew;
  const Sha256Digest qualifying = pki::KeyQualifyingData(transcript);
  SP_TRY(const TpmAttestation key, renewal
                                       ? tpm_.Certify(task.tls_key.id, qualifying.view())
                                       : tpm_.CertifyCreation(task.tls_key.id, qualifying.view()));
  out.certification = renewal ? KeyCertification::kCertify : KeyCertification::kCreation;
  if (!renewal) out.creation_data = task.tls_key.creation_data;
  out.key_attest = key.attest;
  out.key_signature = key.signature;
  for (const PcrRequest& request : task.challenge.pcr_requests) {
    SP_TRY(const pki::PcrBank bank, BankOf(request));
    SP_TRY(TpmQuote quote, tpm_.Quote(bank, pki::QuoteExtraData(transcript).view()));
    out.quotes.push_back(
        {quote.signed_by_ak.attest, quote.signed_by_ak.signature, std::move(quote.pcr_values)});
  }
  SP_TRY(AttestBoot(task.challenge, pki::QuoteExtraData(transcript), out));
  if (!renewal) CertifyFloors(transcript, out);
  // After the quote: the kernel lists an entry before it extends the PCR.
  if (task.challenge.ima_first) out.ima = ReadImaList(*task.challenge.ima_first);
  if (task.secret != nullptr)
    out.activation_proof = ToBytes(pki::ActivationProof(task.secret->view(), transcript).view());
  return out;
}

}  // namespace sallyport::device
