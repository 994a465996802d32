// VerifyEvidence: the steps of Judge (attestation-server/evidence/verdict.h) that the given files
// allow.
#include <charconv>

#include "attestation-server/cli/evidence_commands.h"
#include "attestation-server/evidence/verdict.h"
#include "attestation-server/reference/reference_file.h"
#include "pki/base/json.h"
#include "pki/x509/der.h"

namespace sallyport::server {
namespace {

constexpr uint64_t kFileBytesMax =
    16 << 20;  // far above every cap of the parsers, which refuse by name
constexpr std::string_view kStructureRule[] = {"ak.structure"};
constexpr std::string_view kReplayRule[] = {"log.replay"};
constexpr std::string_view kReferenceRule[] = {"reference.available"};
constexpr std::string_view kRequired[] = {"quote.signature", "quote.structure", "quote.extra-data",
                                          "quote.selection"};

struct Selection {
  std::optional<pki::HashAlgorithm>
      bank;  // nothing for SHA-1: it can be asked for, and never passes
  uint32_t mask = 0;
};

struct Inputs {
  Bytes ak, attest, signature, nonce;
  Selection selection;
  AkParent ak_parent = AkParent::kEndorsement;
  std::optional<Bytes> pcr_values, log, ima;
  std::vector<Candidate> candidates;
};

Error Usage(std::string detail) {
  return Error{Reason::kInvalidArgument, std::move(detail), "usage"};
}

Result<uint32_t> ParsePcrList(std::string_view list) {
  uint32_t mask = 0;
  while (!list.empty()) {
    uint32_t pcr = 0;
    const auto [end, error] = std::from_chars(list.data(), list.data() + list.size(), pcr);
    if (error != std::errc() || pcr >= kPcrCount || (mask >> pcr & 1) != 0)
      return Usage("--pcrs: not a list of pcrs");
    mask |= 1u << pcr;
    list.remove_prefix(static_cast<size_t>(end - list.data()));
    if (list.empty()) return mask;
    if (list.front() != ',') break;
    list.remove_prefix(1);
  }
  return Usage("--pcrs: expected BANK:PCR,PCR,...");
}

Result<Selection> ParseSelection(std::string_view text) {
  const size_t colon = text.find(':');
  const std::optional<Bank> bank = BankFromName(text.substr(0, colon));
  if (colon == std::string_view::npos || !bank)
    return Usage("--pcrs: expected BANK:PCR,PCR,... with a known bank");
  SP_TRY(const uint32_t mask, ParsePcrList(text.substr(colon + 1)));
  Selection out{std::nullopt, mask};
  if (*bank != Bank::kSha1) out.bank = static_cast<pki::HashAlgorithm>(*bank);
  return out;
}

Result<AkParent> ParseParent(std::string_view text) {
  if (text == "endorsement") return AkParent::kEndorsement;
  if (text == "any") return AkParent::kAny;
  return Usage("--ak-parent: expected endorsement or any");
}

// Reader collects files and remembers which one failed.
class Reader {
 public:
  explicit Reader(FileSystem& files) : files_(files) {}
  Result<Bytes> Read(const std::string& path) {
    file_ = path;
    return ReadFile(files_, path, kFileBytesMax);
  }
  const std::string& file() const { return file_; }

 private:
  FileSystem& files_;
  std::string file_;
};

Result<std::vector<Candidate>> ReadReferences(Reader& reader, const EvidenceVerifyOptions& options,
                                              const Selection& s) {
  std::vector<Candidate> out;
  for (const std::string& path : options.references) {
    SP_TRY(const Bytes bytes, reader.Read(path));
    SP_TRY(ReferenceFile file, ParseReferenceFile(AsText(bytes)));
    if (s.bank && file.bank != *s.bank)
      return Usage("the reference is for another bank than --pcrs");
    file.expectation.label = path;
    out.push_back({ReferenceRole::kCommitted, std::move(file.expectation)});
  }
  return out;
}

Result<Inputs> ReadInputs(Reader& reader, const EvidenceVerifyOptions& options) {
  Inputs out;
  SP_TRY(out.selection, ParseSelection(options.pcrs));
  SP_TRY(out.ak_parent, ParseParent(options.ak_parent));
  Result<Bytes> nonce = HexDecode(options.nonce);
  if (!nonce) return Usage("--nonce: not hex");
  out.nonce = *std::move(nonce);
  SP_TRY(out.ak, reader.Read(options.ak));
  SP_TRY(out.attest, reader.Read(options.attest));
  SP_TRY(out.signature, reader.Read(options.signature));
  if (!options.pcr_values.empty()) {
    SP_TRY(out.pcr_values, reader.Read(options.pcr_values));
  }
  if (!options.log.empty()) {
    SP_TRY(out.log, reader.Read(options.log));
  }
  if (!options.ima.empty()) {
    SP_TRY(Bytes list, reader.Read(options.ima));
    // An ascii list begins with the PCR in decimal, a binary one with a small number and zeros.
    const bool ascii = !list.empty() && (list[0] == ' ' || (list[0] >= '0' && list[0] <= '9'));
    SP_TRY(out.ima, ascii ? ImaListFromAscii(AsText(list)) : Result<Bytes>(std::move(list)));
  }
  SP_TRY(out.candidates, ReadReferences(reader, options, out.selection));
  return out;
}

Result<AttestationKey> ParseAk(ByteView bytes) {
  if (AsText(bytes).find("-----BEGIN") != std::string_view::npos) {
    SP_TRY(const pki::PublicKey key, pki::PublicKey::FromPem(AsText(bytes)));
    return AttestationKey::FromPublicKey(key);
  }
  const Result<pki::PublicArea> wrapped = pki::ParseTpm2bPublic(bytes);
  if (wrapped) return AttestationKey::FromArea(*wrapped);
  SP_TRY(const pki::PublicArea area, pki::ParsePublicArea(bytes));
  return AttestationKey::FromArea(area);
}

// One DER INTEGER of Ecdsa-Sig-Value, without the sign byte. P-384 numbers still have short
// lengths.
pki::HashAlgorithm HashOf(const AttestationKey& ak) {
  if (ak.area() && ak.area()->scheme) return ak.area()->scheme->hash;
  return ak.key().type() == pki::KeyType::kP384 ? pki::HashAlgorithm::kSha384
                                                : pki::HashAlgorithm::kSha256;
}

// TpmSignatureOf wraps a DER ECDSA signature as the TPM would; anything else is left to its parser.
Bytes TpmSignatureOf(const AttestationKey& ak, const Bytes& signature) {
  constexpr size_t kNumberMax = 48;  // P-384
  const auto convert = [&]() -> Result<Bytes> {
    pki::der::Reader outer(signature, "quote.scheme");
    SP_TRY(pki::der::Reader numbers, outer.Enter(pki::der::kSequence));
    SP_TRY(outer.End());
    SP_TRY(const ByteView r, numbers.UnsignedBytes(kNumberMax));
    SP_TRY(const ByteView s, numbers.UnsignedBytes(kNumberMax));
    SP_TRY(numbers.End());
    ByteWriter out;
    out.BigU16(pki::tpm::kAlgEcdsa).BigU16(static_cast<uint16_t>(HashOf(ak)));
    return std::move(out.Sized16(r).Sized16(s)).Take();
  };
  Result<Bytes> out = convert();
  return out ? *std::move(out) : signature;
}

// PcrValuesOf takes the requested PCRs out of the file; what is missing or malformed is left out,
// and the rule quote.values says so.
std::vector<PcrValue> PcrValuesOf(const Bytes& json, pki::HashAlgorithm bank, uint32_t mask) {
  std::vector<PcrValue> out;
  const Result<JsonValue> value = ParseJson(AsText(json));
  const JsonValue* const values = value ? value->Find(pki::HashName(bank)) : nullptr;
  if (values == nullptr) return out;
  for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr) {
    const JsonValue* const hex =
        (mask >> pcr & 1) != 0 ? values->Find(std::to_string(pcr)) : nullptr;
    if (hex == nullptr || hex->if_string() == nullptr) continue;
    const Result<Bytes> bytes = HexDecode(*hex->if_string());
    if (bytes && bytes->size() == pki::DigestSize(bank))
      out.push_back({pcr, PcrDigest::Of(*bytes)});
  }
  return out;
}

struct Outcome {
  CheckList checks;
  std::vector<EventDifference> diff;

  bool passed() const {
    return checks.FirstFailure() == nullptr &&
           std::ranges::all_of(kRequired, [&](std::string_view rule) {
             return checks.Of(rule) == CheckResult::kPass;
           });
  }
};

class Verifier {
 public:
  explicit Verifier(const Inputs& inputs) : in_(inputs) {}

  Outcome Run() {
    for (const auto rules :
         {std::span<const std::string_view>(kStructureRule), AkRules(), LogRules(), QuoteRules(),
          std::span<const std::string_view>(kReplayRule),
          std::span<const std::string_view>(kReferenceRule)})
      out_.checks.Add(rules);
    const Result<AttestationKey> ak = ParseAk(in_.ak);
    if (!out_.checks.Take("ak.structure", ak)) return std::move(out_);
    CheckAk(*ak, std::nullopt, out_.checks);
    if (!in_.selection.bank) {
      out_.checks.Fail("quote.selection", "a SHA-1 bank proves nothing");
      return std::move(out_);
    }
    RunWithBank(*ak, *in_.selection.bank);
    return std::move(out_);
  }

 private:
  void RunWithBank(const AttestationKey& ak, pki::HashAlgorithm bank) {
    const ReplayedLog* const log = ReadLog(bank);
    const Bytes signature = TpmSignatureOf(ak, in_.signature);
    QuoteInput quote{in_.attest, signature};
    std::vector<PcrValue> values;
    if (in_.pcr_values) {
      values = PcrValuesOf(*in_.pcr_values, bank, in_.selection.mask);
      quote.values = &values;
    }
    if (log != nullptr) quote.replay = &log->pcrs();
    const QuoteExpectation expected{in_.nonce,     bank,         in_.selection.mask,
                                    in_.ak_parent, std::nullopt, 0};
    const std::optional<AuthenticatedQuote> verified = CheckQuote(ak, quote, expected, out_.checks);
    if (verified) JudgePcrs(verified->pcrs, log);
    if (in_.ima) JudgeIma(verified ? &verified->pcrs : nullptr);
    if (verified) return;
    if (!in_.candidates.empty())
      out_.checks.Fail("reference.available", "no authenticated pcr values to judge");
  }

  // JudgeIma takes the whole list: a file knows of no earlier proof.
  void JudgeIma(const AuthenticatedPcrs* pcrs) {
    out_.checks.Add(ImaRules());
    if (pcrs == nullptr)
      return out_.checks.Fail("ima.replay", "no authenticated pcr values to judge");
    const ImaReferences references = ImaReferences::Of(in_.candidates);
    const ImaInput input{0, *in_.ima};
    const std::optional<ImaOutcome> judged =
        CheckIma(*pcrs, BootId::FromArray({}), &input,
                 {ImaStart::OfBoot(pcrs->bank()), &references}, out_.checks);
    if (judged) out_.diff.insert(out_.diff.end(), judged->diff.begin(), judged->diff.end());
  }

  const ReplayedLog* ReadLog(pki::HashAlgorithm bank) {
    if (!in_.log) {
      for (const std::string_view rule : LogRules()) out_.checks.Note(rule, "no log given");
      return nullptr;
    }
    log_ = ReplayedLog::Make(*in_.log, bank);
    LogInput input;
    if (*log_)
      input.log = &**log_;
    else
      input.refusal = log_->error();
    return CheckLog(input, bank, out_.checks);
  }

  void JudgePcrs(const AuthenticatedPcrs& pcrs, const ReplayedLog* log) {
    if (log != nullptr) {
      if (auto difference = CheckReplay(pcrs, *log, out_.checks, in_.ima ? 1u << kImaPcr : 0)) {
        out_.diff.push_back(*std::move(difference));
        return;
      }
    }
    if (in_.candidates.empty()) return;
    out_.diff = CheckReference(in_.candidates, pcrs, log, out_.checks).diff;
  }

  const Inputs& in_;
  Outcome out_;
  std::optional<Result<ReplayedLog>> log_;
};

JsonValue DifferenceJson(const EventDifference& difference) {
  return JsonValue::Object(
      {{"pcr", difference.pcr},
       {"event", difference.event_index ? JsonValue(*difference.event_index) : JsonValue()},
       {"type", difference.type},
       {"got", difference.got},
       {"data", difference.data},
       {"expected", difference.expected},
       {"what", difference.what}});
}

std::string OutcomeJson(const Outcome& outcome) {
  std::vector<JsonValue> checks;
  for (const Check& check : outcome.checks.checks())
    checks.push_back(JsonValue::Object({{"rule", check.rule},
                                        {"result", CheckResultName(check.result)},
                                        {"detail", check.detail}}));
  std::vector<JsonValue> diff;
  for (const EventDifference& difference : outcome.diff) diff.push_back(DifferenceJson(difference));
  return WriteJson(JsonValue::Object({{"verdict", outcome.passed() ? "pass" : "fail"},
                                      {"checks", JsonValue::Array(std::move(checks))},
                                      {"diff", JsonValue::Array(std::move(diff))}})) +
         "\n";
}

std::string OutcomeText(const Outcome& outcome) {
  std::string out = std::string(outcome.passed() ? "pass" : "fail") + "\n";
  for (const Check& check : outcome.checks.checks()) {
    std::string result(CheckResultName(check.result));
    result.resize(9, ' ');
    out += "  " + result + std::string(check.rule) +
           (check.detail.empty() ? "" : "  " + check.detail) + "\n";
  }
  for (const EventDifference& difference : outcome.diff) {
    out += OwnEvent(difference) + "\n";
    if (!difference.expected.empty()) out += "  expected " + difference.expected + "\n";
    if (!difference.what.empty()) out += "  " + difference.what + "\n";
  }
  return out;
}

}  // namespace

CommandResult VerifyEvidence(FileSystem& files, const EvidenceVerifyOptions& options) {
  Reader reader(files);
  const Result<Inputs> inputs = ReadInputs(reader, options);
  if (!inputs) return Failure(ExitCode::kUsage, inputs.error(), options.json, {reader.file()});
  const Outcome outcome = Verifier(*inputs).Run();
  return {outcome.passed() ? ExitCode::kYes : ExitCode::kNo,
          options.json ? OutcomeJson(outcome) : OutcomeText(outcome), ""};
}

}  // namespace sallyport::server
