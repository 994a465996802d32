#include "attestation-server/evidence/grammar.h"

#include <algorithm>

#include "attestation-server/evidence/event_data.h"
#include "attestation-server/evidence/grammar_order.h"

namespace sallyport::server {
namespace {

constexpr uint32_t kSeparatorPcrs = 0x00FF;

constexpr uint32_t Pcrs(std::initializer_list<uint32_t> pcrs) {
  uint32_t mask = 0;
  for (const uint32_t pcr : pcrs) mask |= 1u << pcr;
  return mask;
}

struct Allowed {
  EventType type;
  uint32_t pcrs;
};

// PFP 1.06 table of PCR usage for 0 to 7; 8 and 9 are grub's and the kernel's, 11 to 13
// systemd-stub's, 14 shim's. Nothing else may be judged by events.
constexpr Allowed kAllowed[] = {
    {EventType::kSeparator, kSeparatorPcrs},
    {EventType::kScrtmContents, Pcrs({0})},
    {EventType::kScrtmVersion, Pcrs({0})},
    {EventType::kPostCode, Pcrs({0, 1})},
    {EventType::kPostCode2, Pcrs({0, 1})},
    {EventType::kPlatformFirmwareBlob, Pcrs({0, 2})},
    {EventType::kPlatformFirmwareBlob2, Pcrs({0, 2})},
    {EventType::kHcrtmEvent, Pcrs({0})},
    {EventType::kNonhostCode, Pcrs({0, 2})},
    {EventType::kNonhostInfo, Pcrs({0})},
    {EventType::kNonhostConfig, Pcrs({1, 3})},
    {EventType::kCpuMicrocode, Pcrs({0, 1})},
    {EventType::kPlatformConfigFlags, Pcrs({1})},
    {EventType::kTableOfDevices, Pcrs({1})},
    {EventType::kHandoffTables, Pcrs({0, 1})},
    {EventType::kHandoffTables2, Pcrs({0, 1})},
    {EventType::kVariableBoot, Pcrs({1})},
    {EventType::kVariableBoot2, Pcrs({1})},
    {EventType::kVariableDriverConfig, Pcrs({1, 3, 5, 7})},
    {EventType::kVariableAuthority, Pcrs({7})},
    {EventType::kBootServicesDriver, Pcrs({0, 2})},
    {EventType::kRuntimeServicesDriver, Pcrs({0, 2})},
    {EventType::kBootServicesApplication, Pcrs({2, 4})},
    {EventType::kGptEvent, Pcrs({5})},
    {EventType::kGptEvent2, Pcrs({5})},
    {EventType::kEfiAction, Pcrs({1, 2, 3, 4, 5, 6, 7})},
    {EventType::kAction, Pcrs({0, 1, 2, 3, 6})},
    {EventType::kCompactHash, Pcrs({6})},
    {EventType::kEventTag, Pcrs({1, 3, 5, 8, 9, 11, 12, 13, 14})},
    {EventType::kIpl, Pcrs({8, 9, 11, 12, 13, 14})},
    {EventType::kSpdmFirmwareBlob, Pcrs({2})},
    {EventType::kSpdmFirmwareConfig, Pcrs({3})},
    {EventType::kSpdmDevicePolicy, Pcrs({7})},
    {EventType::kSpdmDeviceAuthority, Pcrs({7})},
};

bool IsAllowed(EventType type, uint32_t pcr) {
  const auto row = std::ranges::find(kAllowed, type, &Allowed::type);
  return row != std::end(kAllowed) && (row->pcrs >> pcr & 1) != 0;
}

// Rules that hold in every PCR: known type, no disguise, believable data.
Fault CheckEvent(const Event& event, OrderContext& context) {
  const Bank bank = context.bank();
  if (!IsAllowed(event.type, event.pcr))
    return FaultAt(event, "grammar.event",
                   EventTypeLabel(event.type) + " is not known in this pcr");
  const EventType own =
      IsSeparatorDigest(event.digest(bank), bank) ? EventType::kSeparator : EventType::kEfiAction;
  if (IsStructural(event.pcr, event.digest(bank), bank) && event.type != own)
    return FaultAt(event, "grammar.disguised",
                   "a digest of the firmware's own structure under another event type");
  const DataMatch match = MatchData(event, bank);
  const bool excused =
      match == DataMatch::kMatchesButLastByte && context.Excuses(QuirkId::kShimAuthorityByte);
  if (match == DataMatch::kMatches || match == DataMatch::kUnrelated || excused)
    return std::nullopt;
  return FaultAt(event, "grammar.data", "the data does not hash to the digest");
}

Fault CheckSeparator(const Event& event, bool seen) {
  if (seen) return FaultAt(event, "grammar.separator", "second separator");
  switch (ClassifySeparator(event.data)) {
    case SeparatorKind::kNormal: return std::nullopt;
    case SeparatorKind::kFirmwareError:
      return FaultAt(event, "grammar.separator", "the firmware reported an error");
    case SeparatorKind::kUnknown: return FaultAt(event, "grammar.separator", "unknown content");
  }
  std::abort();
}

std::unique_ptr<PcrOrder> OrderOf(uint32_t pcr, OrderContext& context) {
  if (pcr == 0) return MakePcr0Order();
  if (pcr == 4) return MakePcr4Order(context);
  if (pcr == 5) return MakePcr5Order(context);
  if (pcr == 7) return MakePcr7Order();
  return MakeLoaderOrder(pcr, context);
}

// Events of one PCR, up to the first fault.
Fault Feed(const EventLog& log, uint32_t pcr, OrderContext& context, PcrOrder& order,
           PcrGrammar& out) {
  bool separated = false;
  for (const Event& event : log.events) {
    if (event.pcr != pcr || event.type == EventType::kNoAction) continue;
    Fault fault = CheckEvent(event, context);
    const bool separator = event.type == EventType::kSeparator;
    if (!fault && separator) fault = CheckSeparator(event, separated);
    if (!fault) fault = order.Feed(event, !separated || separator, out.judged.size());
    if (fault) return fault;
    separated |= separator;
    if (!IsStructural(pcr, event.digest(context.bank()), context.bank()))
      out.judged.push_back(&event);
  }
  if (!separated && (kSeparatorPcrs >> pcr & 1) != 0)
    return Missing("grammar.separator", "no separator: the bank may have been left unextended");
  return order.Finish(out);
}

}  // namespace

bool OrderContext::Excuses(QuirkId id) {
  const Quirk* const quirk = FindQuirk(id, firmware_);
  if (quirk == nullptr) return false;
  if (std::ranges::find(applied_, quirk) == applied_.end()) applied_.push_back(quirk);
  return true;
}

PcrGrammar CheckGrammar(const EventLog& log, uint32_t pcr, Bank bank,
                        const std::optional<std::string>& firmware) {
  PcrGrammar out;
  OrderContext context(bank, firmware);
  const std::unique_ptr<PcrOrder> order = OrderOf(pcr, context);
  out.fault = Feed(log, pcr, context, *order, out);
  out.quirks = context.TakeQuirks();
  return out;
}

bool IsStructural(uint32_t pcr, ByteView digest, Bank bank) {
  if ((kSeparatorPcrs >> pcr & 1) == 0) return false;
  if (IsSeparatorDigest(digest, bank)) return true;
  if (pcr != 4) return false;
  struct Actions {
    PcrDigest calling;
    PcrDigest returning;
  };
  static const std::array<Actions, kBanks.size()> kKnown = [] {
    std::array<Actions, kBanks.size()> out;
    for (const Bank each : kBanks)
      out[BankIndex(each)] = {HashWith(each, AsBytes(kCallingBootOption)),
                              HashWith(each, AsBytes(kReturningBootOption))};
    return out;
  }();
  const Actions& known = kKnown[BankIndex(bank)];
  return Equal(digest, known.calling.view()) || Equal(digest, known.returning.view());
}

}  // namespace sallyport::server
