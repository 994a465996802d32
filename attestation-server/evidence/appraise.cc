#include "attestation-server/evidence/appraise.h"

#include "attestation-server/evidence/secure_boot.h"

namespace sallyport::server {
namespace {

constexpr std::string_view kPcrRules[kPcrCount] = {
    "pcr.0",  "pcr.1",  "pcr.2",  "pcr.3",  "pcr.4",  "pcr.5",  "pcr.6",  "pcr.7",
    "pcr.8",  "pcr.9",  "pcr.10", "pcr.11", "pcr.12", "pcr.13", "pcr.14", "pcr.15",
    "pcr.16", "pcr.17", "pcr.18", "pcr.19", "pcr.20", "pcr.21", "pcr.22", "pcr.23"};

EventDifference ValueDifference(uint32_t pcr, ByteView got, ByteView expected, std::string what) {
  return {pcr, std::nullopt, "", HexEncode(got), "", HexEncode(expected), std::move(what)};
}

bool Matches(const ExpectedEvent& expected, const Event& event, Bank bank) {
  return (!expected.type || *expected.type == event.type) &&
         Equal(expected.digest.view(), event.digest(bank));
}

using Events = std::vector<const Event*>;

// Compare compares two ordered lists; structural events are already out of `got` and skipped in
// `wanted`.
PcrFinding Compare(uint32_t pcr, const PcrEventsExpected& wanted, std::span<const Event* const> got,
                   Bank bank) {
  PcrFinding out{pcr};
  for (const ExpectedEvent& expected : wanted) {
    if (IsStructural(pcr, expected.digest.view(), bank)) continue;
    const Event* const event = out.matched_events < got.size() ? got[out.matched_events] : nullptr;
    if (event != nullptr && Matches(expected, *event, bank)) {
      ++out.matched_events;
      continue;
    }
    out.difference = event != nullptr ? DifferenceOf(*event, bank) : EventDifference{.pcr = pcr};
    out.difference->expected = HexEncode(expected.digest.view());
    out.difference->what = expected.what;
    return out;
  }
  if (out.matched_events < got.size()) {
    out.difference = DifferenceOf(*got[out.matched_events], bank);
    out.difference->what = "no further event is expected";
  }
  return out;
}

const PcrEventsExpected* EventsOf(const Expectation& expectation, uint32_t pcr) {
  const auto found = expectation.pcrs.find(pcr);
  return found == expectation.pcrs.end() ? nullptr : std::get_if<PcrEventsExpected>(&found->second);
}

// Whether `got` are the first events that `wanted` lists; the length of all of them, else nothing.
bool IsPrefix(uint32_t pcr, const PcrEventsExpected& wanted, std::span<const Event* const> got,
              Bank bank) {
  return Compare(pcr, wanted, got, bank).matched_events == got.size();
}

std::optional<size_t> LengthAt(uint32_t pcr, const PcrEventsExpected& wanted,
                               std::span<const Event* const> got, Bank bank) {
  const PcrFinding finding = Compare(pcr, wanted, got, bank);
  const bool all = !finding.difference ||
                   (finding.difference->expected.empty() && finding.matched_events < got.size());
  if (!all || finding.matched_events == 0) return std::nullopt;
  return finding.matched_events;
}

// FallBack knows which boot options ran and returned in this boot, and what of them may be left
// out.
class FallBack {
 public:
  FallBack(const AuthenticatedPcrs& pcrs, const ReplayedLog& log, std::span<const Candidate> known)
      : log_(log), state_(SecureBootState(pcrs, &log)) {
    const PcrGrammar& boot = log.grammar(4);
    if (boot.fault || !pcrs.selected(4)) return;
    for (const BootAttempt& attempt : boot.attempts)
      if (attempt.returned && attempt.count > 0) Identify(attempt, known);
  }

  // Pcr4 is what PCR 4 judges without the images that returned and are known.
  Events Pcr4() const {
    Events out = log_.grammar(4).judged;
    for (auto past = returned_.rbegin(); past != returned_.rend(); ++past)
      out.erase(out.begin() + static_cast<ptrdiff_t>(past->attempt.first),
                out.begin() + static_cast<ptrdiff_t>(past->attempt.first + past->attempt.count));
    return out;
  }

  // Starts are the offsets in `pcr` where the events of the image that stayed may begin, 0 first.
  std::vector<size_t> Starts(uint32_t pcr) const {
    const Events& got = log_.grammar(pcr).judged;
    Offsets out{{0}, std::vector<bool>(got.size() + 1)};
    for (const Past& past : returned_) {
      for (size_t i = 0, reached = out.list.size(); i < reached; ++i)
        for (const Expectation* const image : past.images)
          Reach(pcr, *image, std::span(got).subspan(out.list[i]), out.list[i], out);
    }
    return std::move(out.list);
  }

 private:
  struct Offsets {
    std::vector<size_t> list;
    std::vector<bool> seen;
  };
  struct Past {
    BootAttempt attempt;
    std::vector<const Expectation*> images;
  };

  void Identify(const BootAttempt& attempt, std::span<const Candidate> known) {
    const auto ran = std::span(log_.grammar(4).judged).subspan(attempt.first, attempt.count);
    Past past{attempt, {}};
    for (const Candidate& candidate : known) {
      const Expectation& image = candidate.expectation;
      const PcrEventsExpected* const wanted = EventsOf(image, 4);
      const bool applies = !image.secure_boot || image.secure_boot == state_;
      if (wanted != nullptr && applies && IsPrefix(4, *wanted, ran, log_.bank()))
        past.images.push_back(&image);
    }
    if (!past.images.empty()) returned_.push_back(std::move(past));
  }

  void Reach(uint32_t pcr, const Expectation& image, std::span<const Event* const> rest, size_t at,
             Offsets& out) const {
    const PcrEventsExpected* const wanted = EventsOf(image, pcr);
    if (wanted == nullptr) return;
    const std::optional<size_t> length = LengthAt(pcr, *wanted, rest, log_.bank());
    if (!length || out.seen[at + *length]) return;
    out.seen[at + *length] = true;
    out.list.push_back(at + *length);
  }

  const ReplayedLog& log_;
  std::optional<bool> state_;
  std::vector<Past> returned_;
};

PcrFinding CompareEvents(uint32_t pcr, const PcrEventsExpected& wanted, const ReplayedLog& log,
                         const FallBack& past) {
  const Events& all = log.grammar(pcr).judged;
  PcrFinding out = Compare(pcr, wanted, all, log.bank());
  if (!out.difference) return out;
  if (pcr == 4) {
    PcrFinding without = Compare(pcr, wanted, past.Pcr4(), log.bank());
    return without.difference && without.matched_events <= out.matched_events ? out : without;
  }
  for (const size_t start : past.Starts(pcr)) {
    PcrFinding without = Compare(pcr, wanted, std::span(all).subspan(start), log.bank());
    if (!without.difference) return without;
  }
  return out;
}

PcrFinding JudgeEvents(uint32_t pcr, const PcrEventsExpected& wanted, const ReplayedLog& log,
                       const FallBack& past) {
  const PcrGrammar& grammar = log.grammar(pcr);
  PcrFinding out = CompareEvents(pcr, wanted, log, past);
  // The grammar stopped at its fault: a difference before it says more.
  if (grammar.fault && (!out.difference || !out.difference->event_index))
    out.difference = FaultDifference(pcr, *grammar.fault, log.bank());
  out.quirks = grammar.quirks;
  return out;
}

PcrFinding AppraisePcr(uint32_t pcr, const PcrExpectation& expected, const AuthenticatedPcrs& pcrs,
                       const ReplayedLog* log, const std::optional<FallBack>& past) {
  const std::optional<PcrDigest>& quoted = pcrs.value(pcr);
  if (!quoted) return {pcr, EventDifference{.pcr = pcr, .what = "the pcr was not quoted"}};
  if (const auto* const value = std::get_if<PcrValueExpected>(&expected)) {
    if (*value == *quoted) return {pcr, std::nullopt, 1};
    return {pcr, ValueDifference(pcr, quoted->view(), value->view(), "value of the pcr")};
  }
  if (log == nullptr) return {pcr, EventDifference{.pcr = pcr, .what = "there is no event log"}};
  if (const auto* const events = std::get_if<PcrEventsExpected>(&expected))
    return JudgeEvents(pcr, *events, *log, *past);
  return JudgeSecureBoot(pcr, std::get<SecureBootExpected>(expected), *log);
}

// What systemd's stub takes beside the image that it belongs to: a command line, credentials and
// add-ons (PCR 12), system extensions (PCR 13). Whoever writes to the disk can put them there, and
// the image is the approved one all the same.
constexpr uint32_t kStubPcr = 11;
constexpr uint32_t kBesideTheImage[] = {12, 13};

// CommandLineOf is the digest of the command line inside the image that stayed. Only digests are
// read: the names in the log's data are hints. Sections stand in pairs, name and content, and an
// image's kernel is its first one.
std::optional<ByteView> CommandLineOf(const PcrGrammar& sections, Bank bank) {
  constexpr std::string_view kFirst(".linux\0", 7);
  constexpr std::string_view kName(".cmdline\0", 9);
  if (sections.fault) return std::nullopt;
  std::optional<ByteView> out;
  for (size_t i = 0; i + 1 < sections.judged.size(); i += 2) {
    const ByteView name = sections.judged[i]->digest(bank);
    if (Equal(HashWith(bank, AsBytes(kFirst)).view(), name)) out.reset();
    if (Equal(HashWith(bank, AsBytes(kName)).view(), name))
      out = sections.judged[i + 1]->digest(bank);
  }
  return out;
}

// AsciiOf reads UTF-16 that a zero closes.
std::optional<std::string> AsciiOf(ByteView utf16) {
  std::string out;
  for (size_t i = 0; i + 1 < utf16.size(); i += 2) {
    if (utf16[i + 1] != 0 || utf16[i] >= 0x80) return std::nullopt;
    out += static_cast<char>(utf16[i]);
  }
  if (utf16.size() % 2 != 0 || out.empty() || out.find('\0') != out.size() - 1) return std::nullopt;
  out.pop_back();
  return out;
}

// systemd-boot gives an image the command line that is inside it, without its last line feed, and
// both measure it. That is nothing new: PCR 11 holds the same line.
bool RepeatsCommandLine(const ReplayedLog& log) {
  const Bank bank = log.bank();
  const std::optional<ByteView> own = CommandLineOf(log.grammar(kStubPcr), bank);
  const PcrGrammar& beside = log.grammar(12);
  // The grammar stops at its fault: what follows is not among the judged events.
  if (!own || beside.fault || beside.judged.empty()) return false;
  return std::ranges::all_of(beside.judged, [&](const Event* event) {
    const std::optional<std::string> text = AsciiOf(event->data);
    const auto is_own = [&](const std::string& line) {
      return Equal(HashWith(bank, AsBytes(line)).view(), *own);
    };
    return text && Equal(HashWith(bank, event->data).view(), event->digest(bank)) &&
           (is_own(*text) || is_own(*text + "\n"));
  });
}

PcrFinding AppraiseUntouched(uint32_t pcr, const PcrDigest& quoted, const ReplayedLog* log) {
  const PcrDigest initial = PcrDigest::Of(Bytes(quoted.size()));
  PcrFinding out{pcr};
  if (quoted == initial || (pcr == 12 && log != nullptr && RepeatsCommandLine(*log))) return out;
  constexpr const char* kWhy = "no reference lists what came beside the image";
  const bool logged = log != nullptr && !log->grammar(pcr).judged.empty();
  out.difference = logged ? DifferenceOf(*log->grammar(pcr).judged.front(), log->bank())
                          : ValueDifference(pcr, quoted.view(), initial.view(), kWhy);
  out.difference->what = kWhy;
  return out;
}

// A quirk of a firmware may be applied only when that firmware's version was quoted: it is an event
// of PCR 0.
void CheckQuirks(const AuthenticatedPcrs& pcrs, PcrFinding& finding) {
  for (const Quirk* const quirk : finding.quirks)
    if (!finding.difference && !quirk->first.empty() && !pcrs.selected(0))
      finding.difference =
          EventDifference{.pcr = finding.pcr,
                          .what = std::string(quirk->rule) + ": " + std::string(quirk->check) +
                                  " needs pcr 0 to be quoted"};
}

}  // namespace

std::string_view PcrRule(uint32_t pcr) {
  SP_CHECK(pcr < kPcrCount);
  return kPcrRules[pcr];
}

std::string OwnEvent(const EventDifference& difference) {
  std::string out = "pcr " + std::to_string(difference.pcr);
  if (difference.event_index)
    out += " event " + std::to_string(*difference.event_index) + " " + difference.type;
  out += difference.got.empty() ? " missing" : " " + difference.got;
  return difference.data.empty() ? out : out + " (" + difference.data + ")";
}

bool Appraisal::matched() const {
  return secure_boot_applies && !findings.empty() &&
         std::ranges::none_of(findings,
                              [](const PcrFinding& f) { return f.difference.has_value(); });
}

std::pair<size_t, size_t> Appraisal::Nearness() const {
  std::pair<size_t, size_t> out{0, 0};
  for (const PcrFinding& finding : findings) {
    out.first += finding.difference ? 0 : 1;
    out.second += finding.matched_events;
  }
  return out;
}

std::optional<bool> SecureBootState(const AuthenticatedPcrs& pcrs, const ReplayedLog* log) {
  return log != nullptr && pcrs.selected(7) ? log->grammar(7).secure_boot : std::nullopt;
}

Appraisal Appraise(const Expectation& expected, const AuthenticatedPcrs& pcrs,
                   const ReplayedLog* log, std::span<const Candidate> known) {
  Appraisal out;
  out.secure_boot_applies =
      !expected.secure_boot || expected.secure_boot == SecureBootState(pcrs, log);
  std::optional<FallBack> past;
  if (log != nullptr) past.emplace(pcrs, *log, known);
  for (const auto& [pcr, expectation] : expected.pcrs) {
    PcrFinding finding = AppraisePcr(pcr, expectation, pcrs, log, past);
    CheckQuirks(pcrs, finding);
    if (finding.rule.empty()) finding.rule = PcrRule(pcr);
    out.findings.push_back(std::move(finding));
  }
  if (!expected.pcrs.contains(kStubPcr)) return out;
  for (const uint32_t pcr : kBesideTheImage) {
    if (expected.pcrs.contains(pcr) || !pcrs.selected(pcr)) continue;
    out.findings.push_back(AppraiseUntouched(pcr, *pcrs.value(pcr), log));
    out.findings.back().rule = PcrRule(pcr);
  }
  return out;
}

std::optional<EventDifference> CompareReplay(const AuthenticatedPcrs& pcrs, const ReplayedLog& log,
                                             uint32_t elsewhere) {
  for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr) {
    const std::optional<PcrDigest>& quoted = pcrs.value(pcr);
    if (!quoted || (elsewhere >> pcr & 1) != 0 || *quoted == log.pcrs().value(pcr)) continue;
    const bool touched = log.pcrs().touched(pcr);
    return ValueDifference(
        pcr, quoted->view(), log.pcrs().value(pcr).view(),
        touched ? "value the log replays to" : "initial value: the log does not touch this pcr");
  }
  return std::nullopt;
}

}  // namespace sallyport::server
