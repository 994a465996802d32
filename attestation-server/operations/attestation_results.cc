#include "attestation-server/operations/attestation_results.h"

#include "attestation-server/operations/devices.h"

namespace sallyport::server {
namespace {

// Claims of AR4SI that we make.
constexpr int8_t kRecognized = 2;     // instance-identity, hardware, configuration
constexpr int8_t kApprovedBoot = 3;   // executables: approved at boot, not watched after it
constexpr int8_t kTestHardware = 32;  // a TPM without a vendor's chain
constexpr int8_t kUnknownExecutables = 96;
constexpr int8_t kUnsupportable = 96;  // configuration that is not allowed
constexpr int8_t kUntrustedIdentity = 97;
constexpr int8_t kBadEvidence = 99;  // evidence did not verify

using TrustVector = std::map<std::string, int8_t>;

bool IdentityInDoubt(const DeviceRecord& device) {
  for (const QuarantineCause cause : device.causes)
    if (cause != QuarantineCause::kPosture) return true;
  return device.state == DeviceState::kRetired;
}

// Failed maps the rule that failed to what it speaks against.
void Failed(std::string_view rule, TrustVector& out) {
  if (rule.starts_with("secure-boot.") || rule == "pcr.7") {
    out["configuration"] = kUnsupportable;
  } else if (rule.starts_with("pcr.") || rule.starts_with("reference.") ||
             rule.starts_with("ima.")) {
    out["executables"] = kUnknownExecutables;
  } else {
    out["executables"] = kBadEvidence;
  }
}

TrustVector VectorOf(const DeviceRecord& device, Posture posture) {
  TrustVector out;
  if (IdentityInDoubt(device)) {
    out["instance-identity"] = kUntrustedIdentity;
    return out;
  }
  if (posture == Posture::kFailing) {
    out["instance-identity"] = kRecognized;
    Failed(device.reason, out);
    return out;
  }
  if (posture != Posture::kPassing || device.state != DeviceState::kActive) return out;
  out["instance-identity"] = kRecognized;
  out["hardware"] = device.tpm.vendor_chain ? kRecognized : kTestHardware;
  out["executables"] = kApprovedBoot;
  if (device.tier == pki::Tier::kMeasured) out["configuration"] = kRecognized;
  return out;
}

JsonValue Details(const DeviceRecord& device, Posture posture) {
  return JsonValue::Object(
      {{"device", device.id},
       {"state", TextOf(device.state)},
       {"posture", TextOf(posture)},
       {"reason", device.reason},
       {"tier", pki::TierName(device.tier)},
       {"epoch", device.epoch},
       {"incarnation", device.incarnation},
       {"boot_id", device.boot ? HexEncode(device.boot->id) : ""},
       {"evidence_sha256", device.evidence_hash ? HexEncode(*device.evidence_hash) : ""},
       {"release", device.running_release ? HexEncode(*device.running_release) : ""}});
}

}  // namespace

pki::AttestationResult ResultOf(const DeviceRecord& device, const std::string& verifier,
                                UnixTime now) {
  const Posture posture = PostureAt(device, now);
  pki::AttestationResult out;
  out.subject = "spiffe://" + device.trust_domain + "/device/" + device.id;
  out.verifier = verifier;
  out.trust_vector = VectorOf(device, posture);
  const bool holds = posture == Posture::kPassing && device.state == DeviceState::kActive;
  out.issued_at = holds ? device.attested_at : now;
  out.expires = holds ? device.valid_until : now + kNegativeResultLifetime;
  if (device.reference_set) out.policy_id = "reference:" + HexEncode(*device.reference_set);
  out.details = Details(device, posture);
  return out;
}

Result<JsonValue> AttestationResults::Show(std::string_view name, UnixTime now) {
  SP_TRY(Snapshot snapshot, database_.Read());
  SP_TRY(const DeviceRecord device, FindDevice(snapshot.connection(), name));
  const pki::AttestationResult result = ResultOf(device, verifier_, now);
  SP_TRY(const std::string jws, signer_.SignVerdict(result));
  return JsonValue::Object(
      {{"ear", jws}, {"claims", pki::ClaimsOf(result)}, {"jwks", signer_.Jwks()}});
}

}  // namespace sallyport::server
