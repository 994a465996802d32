#include "attestation-server/evidence/appraise.h"

namespace sallyport::server {
namespace {

constexpr std::string_view kPcrRules[kPcrCount] = {
    "pcr.0",  "pcr.1",  "pcr.2",  "pcr.3",  "pcr.4",  "pcr.5",  "pcr.6",  "pcr.7",
    "pcr.8",  "pcr.9",  "pcr.10", "pcr.11", "pcr.12", "pcr.13", "pcr.14", "pcr.15",
    "pcr.16", "pcr.17", "pcr.18", "pcr.19", "pcr.20", "pcr.21", "pcr.22", "pcr.23"};

EventDifference ValueDifference(uint32_t pcr, ByteView got, ByteView expected, std::string what) {
  return {pcr, std::nullopt, "", HexEncode(got), "", HexEncode(expected), std::move(what)};
}

EventDifference OfEvent(const Event& event, Bank bank) {
  return {event.pcr,
          event.index,
          EventTypeLabel(event.type),
          HexEncode(event.digest(bank)),
          DescribeData(event),
          "",
          ""};
}

EventDifference FaultDifference(uint32_t pcr, const GrammarFault& fault, Bank bank) {
  EventDifference out =
      fault.event != nullptr ? OfEvent(*fault.event, bank) : EventDifference{.pcr = pcr};
  out.what = std::string(fault.rule) + ": " + fault.detail;
  return out;
}

bool Matches(const ExpectedEvent& expected, const Event& event, Bank bank) {
  return (!expected.type || *expected.type == event.type) &&
         Equal(expected.digest.view(), event.digest(bank));
}

// FirstDifference compares two ordered lists; structural events are already out of `got` and
// skipped in `wanted`.
PcrFinding CompareEvents(uint32_t pcr, const PcrEventsExpected& wanted,
                         const std::vector<const Event*>& got, Bank bank) {
  PcrFinding out{pcr, std::nullopt, 0};
  for (const ExpectedEvent& expected : wanted) {
    if (IsStructural(pcr, expected.digest.view(), bank)) continue;
    const Event* const event = out.matched_events < got.size() ? got[out.matched_events] : nullptr;
    if (event != nullptr && Matches(expected, *event, bank)) {
      ++out.matched_events;
      continue;
    }
    out.difference = event != nullptr ? OfEvent(*event, bank) : EventDifference{.pcr = pcr};
    out.difference->expected = HexEncode(expected.digest.view());
    out.difference->what = expected.what;
    return out;
  }
  if (out.matched_events < got.size()) {
    out.difference = OfEvent(*got[out.matched_events], bank);
    out.difference->what = "no further event is expected";
  }
  return out;
}

PcrFinding CompareEvents(uint32_t pcr, const PcrEventsExpected& wanted, const ReplayedLog& log) {
  const PcrGrammar& grammar = log.grammar(pcr);
  PcrFinding out = CompareEvents(pcr, wanted, grammar.judged, log.bank());
  // The grammar stopped at its fault: a difference before it says more.
  if (grammar.fault && (!out.difference || !out.difference->event_index))
    out.difference = FaultDifference(pcr, *grammar.fault, log.bank());
  return out;
}

PcrFinding AppraisePcr(uint32_t pcr, const PcrExpectation& expected, const AuthenticatedPcrs& pcrs,
                       const ReplayedLog* log) {
  const std::optional<PcrDigest>& quoted = pcrs.value(pcr);
  if (!quoted) return {pcr, EventDifference{.pcr = pcr, .what = "the pcr was not quoted"}, 0};
  if (const auto* const events = std::get_if<PcrEventsExpected>(&expected)) {
    if (log != nullptr) return CompareEvents(pcr, *events, *log);
    return {pcr, EventDifference{.pcr = pcr, .what = "there is no event log"}, 0};
  }
  const PcrDigest& value = std::get<PcrValueExpected>(expected);
  if (value == *quoted) return {pcr, std::nullopt, 1};
  return {pcr, ValueDifference(pcr, quoted->view(), value.view(), "value of the pcr"), 0};
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
                   const ReplayedLog* log) {
  Appraisal out;
  out.secure_boot_applies =
      !expected.secure_boot || expected.secure_boot == SecureBootState(pcrs, log);
  for (const auto& [pcr, expectation] : expected.pcrs)
    out.findings.push_back(AppraisePcr(pcr, expectation, pcrs, log));
  return out;
}

std::optional<EventDifference> CompareReplay(const AuthenticatedPcrs& pcrs,
                                             const ReplayedLog& log) {
  for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr) {
    const std::optional<PcrDigest>& quoted = pcrs.value(pcr);
    if (!quoted || *quoted == log.pcrs().value(pcr)) continue;
    const bool touched = log.pcrs().touched(pcr);
    return ValueDifference(
        pcr, quoted->view(), log.pcrs().value(pcr).view(),
        touched ? "value the log replays to" : "initial value: the log does not touch this pcr");
  }
  return std::nullopt;
}

}  // namespace sallyport::server
