#include "attestation-server/evidence/quote.h"

#include "pki/tpm/name.h"

namespace sallyport::server {
namespace {

constexpr AttestRules kQuoteAttestRules{"quote.size",  "quote.scheme", "quote.signature",
                                        "quote.magic", "quote.type",   "quote.structure"};
constexpr std::string_view kQuoteRules[] = {
    "quote.size",      "quote.scheme",    "quote.signature",        "quote.magic",
    "quote.type",      "quote.structure", "quote.qualified-signer", "quote.extra-data",
    "quote.selection", "quote.values",    "quote.digest",           "quote.clock",
    "quote.firmware"};
// The rules of pki::CheckAttestationKey, in its order, then ours.
constexpr std::string_view kAkRules[] = {"ak.fixed-tpm",
                                         "ak.fixed-parent",
                                         "ak.sensitive-data-origin",
                                         "ak.user-with-auth",
                                         "ak.restricted",
                                         "ak.sign",
                                         "ak.st-clear",
                                         "ak.encrypted-duplication",
                                         "ak.decrypt",
                                         "ak.scheme",
                                         "ak.symmetric",
                                         "ak.key",
                                         "ak.name"};
constexpr std::string_view kNoArea = "the key was given without its public area";

// SchemeFits: with a public area the one scheme the key can sign with, otherwise whatever fits the
// key type.
bool SchemeFits(const AttestationKey& ak, const pki::KeyScheme& scheme) {
  if (ak.area()) return ak.area()->scheme == scheme;
  switch (ak.key().type()) {
    case pki::KeyType::kP256:
    case pki::KeyType::kP384: return scheme.scheme == pki::SignatureScheme::kEcdsa;
    case pki::KeyType::kRsa:
      return scheme.scheme == pki::SignatureScheme::kRsaPkcs1 ||
             scheme.scheme == pki::SignatureScheme::kRsaPss;
    case pki::KeyType::kEd25519: return false;
  }
  std::abort();
}

// RuleOfSignature: what kind of refusal an unreadable TPMT_SIGNATURE is. A zero r or s is a
// signature that no message has.
std::string_view RuleOfSignature(const Error& error, const AttestRules& rules) {
  if (error.rule == "signature.algorithm") return rules.scheme;
  return error.rule == "signature.range" ? rules.signature : rules.structure;
}

}  // namespace

Result<AttestationKey> AttestationKey::FromArea(const pki::PublicArea& area) {
  SP_TRY(pki::PublicKey key, area.ToPublicKey());
  AttestationKey out(std::move(key));
  out.area_ = area;
  out.rules_ = pki::CheckAttestationKey(area);
  out.name_ = pki::ObjectName(area);
  return out;
}

AttestationKey AttestationKey::FromPublicKey(const pki::PublicKey& key) {
  return AttestationKey(key);
}

std::span<const std::string_view> AkRules() { return kAkRules; }
std::span<const std::string_view> QuoteRules() { return kQuoteRules; }

void CheckAk(const AttestationKey& ak, const std::optional<Bytes>& frozen_name, CheckList& checks) {
  if (!ak.area()) {
    for (const std::string_view rule : kAkRules) checks.Note(rule, std::string(kNoArea));
    return;
  }
  for (const pki::KeyRuleResult& result : ak.rules_)
    checks.Require(result.rule, result.passed, result.detail);
  checks.Require("ak.name", !frozen_name || *frozen_name == ak.name(),
                 "not the key this device enrolled with");
}

std::optional<SignedAttest> CheckAttestSignature(const AttestationKey& ak, ByteView attest,
                                                 ByteView signature, pki::tpm::AttestType type,
                                                 const AttestRules& rules, CheckList& checks) {
  // 1. Sizes, before anything is parsed.
  if (!checks.Require(
          rules.size,
          attest.size() <= pki::kAttestBytesMax && signature.size() <= pki::kTpmSignatureBytesMax,
          "larger than any tpm makes"))
    return std::nullopt;
  // 2. The scheme is the key's own; SHA-1 does not parse.
  const Result<pki::TpmSignature> parsed = pki::ParseTpmSignature(signature);
  if (!parsed) {
    checks.Fail(RuleOfSignature(parsed.error(), rules), parsed.error().ToString());
    return std::nullopt;
  }
  if (!checks.Require(rules.scheme, SchemeFits(ak, parsed->scheme),
                      "not the signing scheme of the key"))
    return std::nullopt;
  // 3. The signature covers the raw bytes.
  if (!checks.Take(rules.signature, ak.key().Verify(parsed->scheme.scheme, parsed->scheme.hash,
                                                    attest, parsed->bytes)))
    return std::nullopt;
  // 4. to 6. Made by a TPM, of the expected kind, and nothing else in it.
  ByteReader header(attest, "TPMS_ATTEST");
  const Result<uint32_t> magic = header.BigU32();
  const Result<uint16_t> kind = header.BigU16();
  if (!magic || !kind) {
    checks.Fail(rules.structure, "ends within its header");
    return std::nullopt;
  }
  if (!checks.Require(rules.magic, *magic == pki::tpm::kGenerated, "not made by a tpm"))
    return std::nullopt;
  if (!checks.Require(rules.type, *kind == static_cast<uint16_t>(type),
                      "another kind of attestation"))
    return std::nullopt;
  Result<pki::Attest> out = pki::ParseAttest(attest);
  if (!checks.Take(rules.structure, out)) return std::nullopt;
  return SignedAttest{*std::move(out), parsed->scheme.hash};
}

bool CheckSigner(const AttestationKey& ak, AkParent parent, const pki::Attest& attest,
                 std::string_view rule, CheckList& checks) {
  if (!ak.area() || parent == AkParent::kAny) {
    checks.Note(rule, ak.area() ? "the parent of the key was not stated" : std::string(kNoArea));
    return true;
  }
  const Bytes wanted =
      pki::PrimaryQualifiedName(ak.area()->name_alg, pki::tpm::kEndorsement, ak.name());
  return checks.Require(rule, attest.qualified_signer == wanted,
                        "not this key as a primary of the endorsement hierarchy");
}

Result<ClockJudgement> JudgeClock(const pki::ClockInfo& now,
                                  const std::optional<ClockRecord>& last) {
  if (!last) return ClockJudgement{BootRelation::kFirstSeen, 0};
  const auto counts = [](const pki::ClockInfo& clock) {
    return std::pair(clock.reset_count, clock.restart_count);
  };
  const bool advanced = now.clock_ms > last->clock.clock_ms;
  if (counts(now) == counts(last->clock)) {
    if (!advanced) return Error{Reason::kReplayed, "the clock did not advance within one boot"};
    if (last->clock.safe && !now.safe)
      return Error{Reason::kReplayed, "the clock turned unsafe within one boot"};
    return ClockJudgement{BootRelation::kSameBoot, last->generation};
  }
  // One unorderly shutdown may set the clock back. The next one has to wait until the TPM calls its
  // clock safe again (at most 2^22 ms) or until the clock is past what was seen.
  if (!now.safe && !last->clock.safe && !advanced)
    return Error{Reason::kReplayed, "the clock is unsafe again and went back again"};
  if (counts(now) > counts(last->clock))
    return ClockJudgement{BootRelation::kNewBoot, last->generation};
  return ClockJudgement{BootRelation::kCleared, last->generation + 1};
}

// QuoteChecker runs the rules that follow the signature, and is the only maker of
// AuthenticatedPcrs.
class QuoteChecker {
 public:
  QuoteChecker(const AttestationKey& ak, const QuoteInput& input, const QuoteExpectation& expected,
               CheckList& checks)
      : ak_(ak), input_(input), expected_(expected), checks_(checks) {}

  std::optional<AuthenticatedQuote> Run() {
    const std::optional<SignedAttest> verified =
        CheckAttestSignature(ak_, input_.attest, input_.signature, pki::tpm::AttestType::kQuote,
                             kQuoteAttestRules, checks_);
    if (!verified) return std::nullopt;
    const pki::Attest& attest = verified->attest;
    // From here on every rule runs, so that a refusal shows all that is wrong.
    const bool signer =
        CheckSigner(ak_, expected_.ak_parent, attest, "quote.qualified-signer", checks_);
    const bool fresh = checks_.Require(
        "quote.extra-data", pki::ConstantTimeEqual(attest.extra_data, expected_.extra_data),
        "does not answer this challenge");
    const bool selection = CheckSelection(attest.quote()->selection);
    const std::optional<AuthenticatedPcrs> pcrs =
        CheckValues(attest.quote()->pcr_digest, verified->hash);
    const Result<ClockJudgement> boot = JudgeClock(attest.clock, expected_.last);
    checks_.Take("quote.clock", boot);
    const bool firmware =
        checks_.Require("quote.firmware", attest.firmware_version >= expected_.firmware_floor,
                        "tpm firmware below the floor");
    if (!signer || !fresh || !selection || !pcrs || !boot || !firmware) return std::nullopt;
    return AuthenticatedQuote{*pcrs, attest.clock, *boot, attest.firmware_version};
  }

 private:
  bool CheckSelection(const pki::PcrSelection& selection) {
    const auto say = [&](bool good, std::string why) {
      return checks_.Require("quote.selection", good, std::move(why));
    };
    if (selection.size() != 1)
      return say(false, std::to_string(selection.size()) + " banks instead of one");
    if (selection[0].algorithm != static_cast<uint16_t>(expected_.bank))
      return say(false, "another bank");
    return say(selection[0].bitmap == expected_.pcr_mask, "other pcrs than requested");
  }

  std::optional<AuthenticatedPcrs> CheckValues(ByteView quoted_digest, pki::HashAlgorithm hash) {
    std::optional<AuthenticatedPcrs> values = Values();
    if (!values) return std::nullopt;
    pki::Hasher hasher(hash);
    for (const std::optional<PcrDigest>& value : values->values_)
      if (value) hasher.Update(value->view());
    const char* const source = input_.values != nullptr
                                   ? "the pcr values do not hash to the quoted digest"
                                   : "the log does not replay to the quoted digest";
    if (!checks_.Require("quote.digest", Equal(hasher.Finish(), quoted_digest), source))
      return std::nullopt;
    return values;
  }

  std::optional<AuthenticatedPcrs> Values() {
    if (input_.values != nullptr) return ClaimedValues();
    if (input_.replay == nullptr || input_.replay->bank() != BankOf(expected_.bank)) {
      checks_.Note("quote.values", "neither pcr values nor a log");
      checks_.Note("quote.digest", "neither pcr values nor a log");
      return std::nullopt;
    }
    AuthenticatedPcrs out(BankOf(expected_.bank));
    for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr)
      if ((expected_.pcr_mask >> pcr & 1) != 0) out.values_[pcr] = input_.replay->value(pcr);
    checks_.Pass("quote.values", "from the replay of the log");
    return out;
  }

  std::optional<AuthenticatedPcrs> ClaimedValues() {
    AuthenticatedPcrs out(BankOf(expected_.bank));
    uint32_t seen = 0;
    bool exact = true;
    for (const PcrValue& claim : *input_.values) {
      exact &= claim.pcr < kPcrCount && claim.value.size() == BankDigestSize(out.bank_) &&
               (seen >> claim.pcr & 1) == 0;
      if (!exact) break;
      seen |= 1u << claim.pcr;
      out.values_[claim.pcr] = claim.value;
    }
    exact &= seen == expected_.pcr_mask;
    if (!checks_.Require("quote.values", exact, "not exactly one value for each requested pcr"))
      return std::nullopt;
    return out;
  }

  const AttestationKey& ak_;
  const QuoteInput& input_;
  const QuoteExpectation& expected_;
  CheckList& checks_;
};

std::optional<AuthenticatedQuote> CheckQuote(const AttestationKey& ak, const QuoteInput& input,
                                             const QuoteExpectation& expected, CheckList& checks) {
  return QuoteChecker(ak, input, expected, checks).Run();
}

}  // namespace sallyport::server
