#include "pki/tpm/transcript.h"

namespace sallyport::pki {
namespace {

constexpr std::string_view kQuoteLabel = "sallyport/quote/v1";
constexpr std::string_view kKeyLabel = "sallyport/key/v1";
constexpr std::string_view kFloorsLabel = "sallyport/floors/v1";
constexpr std::string_view kActivateLabel = "sallyport/activate/v1";

ByteView ReleaseOrEmpty(const TranscriptFields& fields) {
  return fields.running_release ? fields.running_release->view() : ByteView{};
}

}  // namespace

Transcript ComputeTranscript(const TranscriptFields& fields) {
  ByteWriter out;
  out.Sized32(AsBytes(PurposeName(fields.purpose)));
  out.BigU32(sizeof(uint32_t)).BigU32(fields.protocol_version);
  out.Sized32(AsBytes(fields.trust_domain));
  out.Sized32(fields.server_leaf_hash.view());
  out.Sized32(fields.ticket_id.view());
  out.Sized32(fields.nonce.view());
  out.Sized32(AsBytes(fields.device_id));
  out.Sized32(fields.ek_spki_hash.view());
  out.Sized32(fields.ak_name);
  out.Sized32(fields.tls_key_name);
  out.Sized32(fields.csr_hash.view());
  out.Sized32(fields.event_log_hash.view());
  out.Sized32(AsBytes(BootSlotName(fields.boot_slot)));
  out.Sized32(ReleaseOrEmpty(fields));
  out.BigU32(sizeof(uint64_t)).BigU64(fields.highest_epoch);
  return Transcript::FromArray(Sha256(out.bytes()).array());
}

Sha256Digest QuoteExtraData(const Transcript& transcript) {
  return LabelledDigest(kQuoteLabel, {transcript.view()});
}

Sha256Digest KeyQualifyingData(const Transcript& transcript) {
  return LabelledDigest(kKeyLabel, {transcript.view()});
}

Sha256Digest FloorsQualifyingData(const Transcript& transcript) {
  return LabelledDigest(kFloorsLabel, {transcript.view()});
}

Sha256Digest ActivationProof(ByteView secret, const Transcript& transcript) {
  constexpr uint8_t kZero[] = {0};
  return HmacSha256(secret, {AsBytes(kActivateLabel), ByteView(kZero), transcript.view()});
}

Sha256Digest IakQualifyingData(std::string_view trust_domain, ByteView ak_name,
                               ByteView ek_public) {
  ByteWriter out;
  out.Sized32(AsBytes(trust_domain)).Sized32(ak_name).Sized32(ek_public);
  return LabelledDigest("sallyport/iak/v1", {out.bytes()});
}

}  // namespace sallyport::pki
