#include "attestation-server/evidence/ima.h"

#include <algorithm>

#include "pki/crypto/hash.h"

namespace sallyport::server {
namespace {

constexpr std::string_view kRules[] = {
    "ima.present",   "ima.reference", "ima.continuation", "ima.size",   "ima.structure",
    "ima.template",  "ima.fields",    "ima.pcr",          "ima.replay", "ima.boot-aggregate",
    "ima.violation", "ima.hash",      "ima.signature",    "ima.file"};
constexpr std::string_view kParseRules[] = {"ima.structure", "ima.template", "ima.fields",
                                            "ima.pcr"};
constexpr std::string_view kFileRules[] = {"ima.violation", "ima.hash", "ima.signature",
                                           "ima.file"};
constexpr uint32_t kAggregatedPcrs = 10;  // PCR 0 to 9

// Fault is what a rule found wrong with an entry.
struct Fault {
  std::string_view rule;
  std::string what;
};

class ImaChecker {
 public:
  ImaChecker(const AuthenticatedPcrs& pcrs, const ImaExpectation& expected, CheckList& checks)
      : pcrs_(pcrs), references_(*expected.references), checks_(checks) {}

  // Run judges the entries of `list`, the first of which has the number start.entries.
  std::optional<ImaOutcome> Run(ImaStart start, ByteView list) {
    if (!Replay(start, list)) return std::nullopt;
    ImaOutcome out{start, {}};
    out.end.entries += entries_.size();
    out.end.aggregate = *pcrs_.value(kImaPcr);
    const bool aggregate = CheckBootAggregate(start.entries);
    const size_t skip = start.entries == 0 ? 1 : 0;
    // A few differences say what happened; more of them would only cost signature checks.
    for (size_t i = skip; i < entries_.size() && out.diff.size() < kImaDifferencesMax; ++i)
      if (std::optional<Fault> fault = JudgeFile(entries_[i]))
        Record(*std::move(fault), start.entries + i, entries_[i], out.diff);
    for (const std::string_view rule : kFileRules)
      if (out.diff.empty()) checks_.Pass(rule);
    if (!aggregate && out.diff.empty() && !entries_.empty())
      out.diff.push_back(Difference(start.entries, entries_.front(), "not the hash of PCR 0 to 9"));
    return out;
  }

 private:
  // Replay leaves in entries_ those that the quoted PCR 10 covers.
  bool Replay(const ImaStart& start, ByteView list) {
    const std::optional<PcrDigest>& quoted = pcrs_.value(kImaPcr);
    if (!quoted) return Refuse("ima.replay", "pcr 10 is not quoted");
    if (start.entries == 0) checks_.Pass("ima.continuation");
    PcrDigest aggregate = start.aggregate;
    ByteReader in(list, "measurement list");
    while (aggregate != *quoted) {
      if (in.remaining() == 0) return RefuseReplay(start.entries);
      const Result<ImaEntry> entry = Next(in);
      if (!entry) return Refuse(entry.error().rule, entry.error().detail);
      const PcrDigest extended = entry->violation ? PcrDigest::Filled(pcrs_.bank(), 0xFF)
                                                  : HashWith(pcrs_.bank(), entry->data);
      aggregate = HashWith(pcrs_.bank(), aggregate.view(), extended.view());
      entries_.push_back(*entry);
    }
    if (start.entries > 0) checks_.Pass("ima.continuation");
    for (const std::string_view rule : kParseRules) checks_.Pass(rule);
    checks_.Pass("ima.replay", std::to_string(entries_.size()) + " new entries");
    return true;
  }

  static Result<ImaEntry> Next(ByteReader& in) {
    SP_TRY(const pki::MeasuredEntry framed, pki::ReadMeasuredEntry(in));
    if (framed.pcr != kImaPcr)
      return Error{Reason::kUnsupported, "an entry for pcr " + std::to_string(framed.pcr),
                   "ima.pcr"};
    return ParseImaEntry(framed);
  }

  bool Refuse(std::string_view rule, std::string why) {
    checks_.Fail(rule, std::move(why));
    return false;
  }

  // A list that goes on from a kept state may be refused because the state is not of this list: the
  // whole list is what decides.
  bool RefuseReplay(uint64_t first) {
    if (first == 0) return Refuse("ima.replay", "the list does not replay to the quoted pcr 10");
    return Refuse("ima.continuation",
                  "the list does not go on from entry " + std::to_string(first));
  }

  bool CheckBootAggregate(uint64_t first) {
    if (first > 0) {
      checks_.Pass("ima.boot-aggregate", "judged earlier in this boot");
      return true;
    }
    const auto say = [&](bool good, std::string why) {
      return checks_.Require("ima.boot-aggregate", good, std::move(why));
    };
    if (entries_.empty() || entries_.front().path != kBootAggregate)
      return say(false, "the list does not begin with boot_aggregate");
    const ImaEntry& entry = entries_.front();
    if (!entry.algorithm || BankOf(*entry.algorithm) != pcrs_.bank())
      return say(false, "boot_aggregate is over another bank");
    pki::Hasher hasher(*entry.algorithm);
    for (uint32_t pcr = 0; pcr < kAggregatedPcrs; ++pcr) {
      if (!pcrs_.value(pcr)) return say(false, "pcr 0 to 9 are not all quoted");
      hasher.Update(pcrs_.value(pcr)->view());
    }
    return say(!entry.violation && Equal(hasher.Finish(), entry.digest),
               "boot_aggregate is not the hash of pcr 0 to 9");
  }

  std::optional<Fault> JudgeFile(const ImaEntry& entry) {
    if (entry.violation) return Fault{"ima.violation", "changed while it was measured"};
    if (!entry.algorithm) return Fault{"ima.hash", "measured with a weak or unknown hash"};
    if (references_.Allows(entry.digest)) return std::nullopt;
    if (entry.signature.empty()) return Fault{"ima.file", "not allowed"};
    return JudgeSignature(entry);
  }

  std::optional<Fault> JudgeSignature(const ImaEntry& entry) {
    // The same content under many names is checked once.
    if (signed_.contains(AsText(entry.digest))) return std::nullopt;
    const Result<ImaSignature> signature = ParseImaSignature(entry.signature);
    if (!signature) return Fault{"ima.file", "not allowed, and has " + signature.error().detail};
    const std::vector<const ImaSigner*> signers = references_.SignersOf(signature->key_id);
    if (signers.empty()) return Fault{"ima.file", "not allowed, nor is its signer"};
    for (const ImaSigner* const signer : signers) {
      if (++signatures_ > kImaSignaturesMax)
        return Fault{"ima.signature", "more signatures than are checked for one proof"};
      if (!VerifyImaSignature(signer->key, *signature, entry)) continue;
      signed_.insert(AsText(entry.digest));
      return std::nullopt;
    }
    return Fault{"ima.signature", "its signature does not verify"};
  }

  void Record(Fault fault, uint64_t number, const ImaEntry& entry,
              std::vector<EventDifference>& diff) {
    if (checks_.Of(fault.rule) == CheckResult::kNotRun)
      checks_.Fail(fault.rule, DescribePath(entry.path) + ": " + fault.what);
    diff.push_back(Difference(number, entry, std::move(fault.what)));
  }

  static EventDifference Difference(uint64_t number, const ImaEntry& entry, std::string what) {
    return {.pcr = kImaPcr,
            .event_index = static_cast<uint32_t>(std::min<uint64_t>(number, UINT32_MAX)),
            .type = "IMA",
            .got = HexEncode(entry.digest),
            .data = DescribePath(entry.path),
            .what = std::move(what)};
  }

  const AuthenticatedPcrs& pcrs_;
  const ImaReferences& references_;
  CheckList& checks_;
  std::vector<ImaEntry> entries_;
  std::unordered_set<std::string_view> signed_;  // digests whose signature was verified
  size_t signatures_ = 0;
};

// StartOf: from the beginning, or from the kept state when all that it depends on is the same.
Result<ImaStart> StartOf(const ImaInput& input, const ImaStart& kept, Bank bank,
                         const BootId& boot_id, const Sha256Digest& references) {
  const auto refuse = [](std::string_view why) {
    return Error{Reason::kConflict, std::string(why), "ima.continuation"};
  };
  if (input.first == 0) {
    ImaStart start = ImaStart::OfBoot(bank);
    start.boot_id = boot_id;
    start.references = references;
    return start;
  }
  if (input.first != kept.entries) return refuse("does not begin where the last list ended");
  if (kept.boot_id != boot_id) return refuse("another boot");
  if (kept.references != references) return refuse("other references are in force");
  if (kept.aggregate.size() != BankDigestSize(bank)) return refuse("another bank");
  return kept;
}

}  // namespace

ImaReferences ImaReferences::Of(std::span<const Candidate> candidates) {
  ImaReferences out;
  for (const Candidate& candidate : candidates)
    for (const auto& part : candidate.expectation.ima)
      if (std::ranges::find(out.parts, part->hash, [](const auto& p) { return p->hash; }) ==
          out.parts.end())
        out.parts.push_back(part);
  return out;
}

bool ImaReferences::Allows(ByteView digest) const {
  return std::ranges::any_of(
      parts, [&](const auto& part) { return part->files.contains(AsText(digest)); });
}

std::vector<const ImaSigner*> ImaReferences::SignersOf(uint32_t key_id) const {
  std::vector<const ImaSigner*> out;
  for (const auto& part : parts)
    for (const ImaSigner& signer : part->signers)
      if (signer.key_id == key_id) out.push_back(&signer);
  return out;
}

Sha256Digest ImaReferences::Hash() const {
  std::vector<Sha256Digest> hashes;
  for (const auto& part : parts) hashes.push_back(part->hash);
  std::ranges::sort(hashes);
  Bytes joined;
  for (const Sha256Digest& hash : hashes) Append(joined, hash.view());
  return pki::LabelledDigest("sallyport/ima-references/v1", {joined});
}

std::span<const std::string_view> ImaRules() { return kRules; }

std::optional<ImaOutcome> CheckIma(const AuthenticatedPcrs& pcrs, const BootId& boot_id,
                                   const ImaInput* input, const ImaExpectation& expected,
                                   CheckList& checks) {
  if (!checks.Require("ima.present", input != nullptr, "no measurement list")) return std::nullopt;
  if (!checks.Require("ima.reference", !expected.references->parts.empty(),
                      "no reference in force lists files or signers"))
    return std::nullopt;
  Result<ImaStart> start =
      StartOf(*input, expected.start, pcrs.bank(), boot_id, expected.references->Hash());
  if (!start) {
    checks.Fail("ima.continuation", start.error().detail);
    return std::nullopt;
  }
  if (!checks.Require("ima.size", input->list.size() <= pki::kMeasurementListBytesMax,
                      "longer than any list"))
    return std::nullopt;
  return ImaChecker(pcrs, expected, checks).Run(*std::move(start), input->list);
}

}  // namespace sallyport::server
