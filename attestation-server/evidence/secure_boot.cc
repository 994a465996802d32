#include "attestation-server/evidence/secure_boot.h"

#include <algorithm>

namespace sallyport::server {
namespace {

using Ids = std::vector<SignatureId>;

PcrFinding Refuse(uint32_t pcr, std::string_view rule, std::string what) {
  return {pcr, EventDifference{.pcr = pcr, .what = std::move(what)}, 0, rule};
}

const SignatureId* FirstOutside(const Ids& ids, const Ids& allowed) {
  const auto found = std::ranges::find_if(
      ids, [&](const SignatureId& id) { return !std::ranges::binary_search(allowed, id); });
  return found == ids.end() ? nullptr : &*found;
}

// A database of keys holds nothing but what is allowed.
std::optional<PcrFinding> CheckKeys(uint32_t pcr, std::string_view rule,
                                    const std::optional<Ids>& keys, const Ids& allowed) {
  if (!keys) return Refuse(pcr, rule, "not a list of signatures");
  const SignatureId* const other = FirstOutside(*keys, allowed);
  if (other == nullptr) return std::nullopt;
  return Refuse(pcr, rule, other->Text() + " is not allowed");
}

std::optional<PcrFinding> CheckRevocations(uint32_t pcr, const std::optional<Ids>& dbx,
                                           const Ids& required) {
  if (!dbx) return Refuse(pcr, "secure-boot.dbx", "not a list of signatures");
  const SignatureId* const missing = FirstOutside(required, *dbx);
  if (missing == nullptr) return std::nullopt;
  return Refuse(pcr, "secure-boot.dbx",
                "older than required: " + missing->Text() + " is not revoked");
}

bool IsListed(const Event& event, const std::vector<ExpectedEvent>& events, Bank bank) {
  return std::ranges::any_of(events, [&](const ExpectedEvent& expected) {
    return (!expected.type || *expected.type == event.type) &&
           Equal(expected.digest.view(), event.digest(bank));
  });
}

PcrFinding RefuseEvent(const Event& event, std::string_view rule, std::string what, Bank bank) {
  PcrFinding out{event.pcr, DifferenceOf(event, bank), 0, rule};
  out.difference->what = std::move(what);
  return out;
}

std::optional<PcrFinding> CheckEvents(uint32_t pcr, const SecureBootExpected& expected,
                                      const SecureBootContent& state, Bank bank) {
  bool authorised = false;
  for (const SecureBootContent::Authority& authority : state.authorities) {
    if (IsListed(*authority.event, expected.events, bank)) continue;
    // What authorises must be in the measured db too: the variable is only this event's word.
    const bool from_db = authority.from &&
                         std::ranges::binary_search(expected.db, *authority.from) && state.db &&
                         std::ranges::binary_search(*state.db, *authority.from);
    if (!from_db)
      return RefuseEvent(*authority.event, "secure-boot.authority", "not an allowed entry of db",
                         bank);
    authorised = true;
  }
  if (!authorised) return Refuse(pcr, "secure-boot.authority", "nothing was authorised by db");
  for (const Event* const event : state.others)
    if (!IsListed(*event, expected.events, bank))
      return RefuseEvent(*event, "secure-boot.event", "not listed", bank);
  return std::nullopt;
}

}  // namespace

EventDifference DifferenceOf(const Event& event, Bank bank) {
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
      fault.event != nullptr ? DifferenceOf(*fault.event, bank) : EventDifference{.pcr = pcr};
  out.what = std::string(fault.rule) + ": " + fault.detail;
  return out;
}

PcrFinding JudgeSecureBoot(uint32_t pcr, const SecureBootExpected& expected,
                           const ReplayedLog& log) {
  const PcrGrammar& grammar = log.grammar(pcr);
  if (grammar.fault) return {pcr, FaultDifference(pcr, *grammar.fault, log.bank())};
  if (!grammar.secure_boot_state || grammar.secure_boot != true)
    return Refuse(pcr, "secure-boot.off", "secure boot is not on");
  const SecureBootContent& state = *grammar.secure_boot_state;
  if (auto refused = CheckKeys(pcr, "secure-boot.pk", state.pk, expected.pk)) return *refused;
  if (auto refused = CheckKeys(pcr, "secure-boot.kek", state.kek, expected.kek)) return *refused;
  if (auto refused = CheckKeys(pcr, "secure-boot.db", state.db, expected.db)) return *refused;
  if (auto refused = CheckRevocations(pcr, state.dbx, expected.dbx)) return *refused;
  if (auto refused = CheckEvents(pcr, expected, state, log.bank())) return *refused;
  PcrFinding out{pcr, std::nullopt, grammar.judged.size()};
  out.quirks = grammar.quirks;
  return out;
}

}  // namespace sallyport::server
