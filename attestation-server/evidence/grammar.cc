#include "attestation-server/evidence/grammar.h"

#include <set>

#include "attestation-server/evidence/event_data.h"

namespace sallyport::server {
namespace {

constexpr std::string_view kCalling = "Calling EFI Application from Boot Option";
constexpr std::string_view kReturning = "Returning from EFI Application from Boot Option";
constexpr std::string_view kDebugMode = "UEFI Debug Mode";
constexpr std::string_view kDmaDisabled = "DMA Protection Disabled";
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

// PFP 1.05 table of PCR usage for 0 to 7; 8 and 9 are grub's and the kernel's, 11 to 13
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

using Fault = std::optional<GrammarFault>;

Fault At(const Event& event, std::string_view rule, std::string detail) {
  return GrammarFault{rule, &event, std::move(detail)};
}
Fault Missing(std::string_view rule, std::string detail) {
  return GrammarFault{rule, nullptr, std::move(detail)};
}

// Rules that hold in every PCR: known type, no disguise, believable data.
Fault CheckEvent(const Event& event, Bank bank) {
  if (!IsAllowed(event.type, event.pcr))
    return At(event, "grammar.event", EventTypeLabel(event.type) + " is not known in this pcr");
  const EventType own =
      IsSeparatorDigest(event.digest(bank), bank) ? EventType::kSeparator : EventType::kEfiAction;
  if (IsStructural(event.pcr, event.digest(bank), bank) && event.type != own)
    return At(event, "grammar.disguised",
              "a digest of the firmware's own structure under another event type");
  if (MatchData(event, bank) == DataMatch::kDiffers)
    return At(event, "grammar.data", "the data does not hash to the digest");
  return std::nullopt;
}

Fault CheckSeparator(const Event& event, bool seen) {
  if (seen) return At(event, "grammar.separator", "second separator");
  switch (ClassifySeparator(event.data)) {
    case SeparatorKind::kNormal: return std::nullopt;
    case SeparatorKind::kFirmwareError:
      return At(event, "grammar.separator", "the firmware reported an error");
    case SeparatorKind::kUnknown: return At(event, "grammar.separator", "unknown content");
  }
  std::abort();
}

// A PCR's own order, fed event by event after the common rules. Separators are announced by
// `before`.
class Pcr4 {
 public:
  Fault Feed(const Event& event, bool before) {
    if (event.type == EventType::kBootServicesApplication) {
      if (before || running_) return std::nullopt;
      return At(event, "grammar.boot-option", "an application outside a boot option");
    }
    if (event.type == EventType::kSeparator) return std::nullopt;
    const std::string_view action = AsText(event.data);
    if (action == kCalling) return Call(event, before);
    if (action == kReturning && !before && running_) {
      running_ = false;
      return std::nullopt;
    }
    return At(event, "grammar.boot-option", "unexpected action");
  }
  Fault Finish() const {
    if (!running_) return Missing("grammar.boot-option", "no boot option was called last");
    return std::nullopt;
  }

 private:
  // The first call comes before the separator; after a refused slot the firmware returns and calls
  // again.
  Fault Call(const Event& event, bool before) {
    if (running_ || before == called_) return At(event, "grammar.boot-option", "unexpected call");
    running_ = true;
    called_ = true;
    return std::nullopt;
  }
  bool running_ = false;
  bool called_ = false;
};

class Pcr7 {
 public:
  Fault Feed(const Event& event, bool before) {
    switch (event.type) {
      case EventType::kVariableDriverConfig: return FeedVariable(event, before);
      case EventType::kVariableAuthority:
        if (before) return At(event, "grammar.variable", "authority before the separator");
        ++authorities_;
        return std::nullopt;
      case EventType::kEfiAction: return FeedAction(event);
      default: return std::nullopt;
    }
  }
  Fault Finish() const {
    for (const std::string_view name : {"SecureBoot", "PK", "KEK", "db", "dbx"})
      if (!seen_.contains(name))
        return Missing("grammar.variable", "no " + std::string(name) + " variable");
    if (!on_) return std::nullopt;
    if (empty_keys_) return Missing("grammar.secure-boot", "on, with an empty PK, KEK or db");
    if (authorities_ == 0) return Missing("grammar.secure-boot", "on, and nothing was authorised");
    return std::nullopt;
  }
  std::optional<bool> secure_boot() const {
    return seen_.contains("SecureBoot") ? std::optional(on_) : std::nullopt;
  }

 private:
  struct Known {
    std::string_view guid;
    std::string_view name;
  };
  static constexpr Known kVariables[] = {
      {kGlobalVariableGuid, "SecureBoot"}, {kGlobalVariableGuid, "PK"},
      {kGlobalVariableGuid, "KEK"},        {kImageSecurityGuid, "db"},
      {kImageSecurityGuid, "dbx"},         {kImageSecurityGuid, "dbt"},
      {kImageSecurityGuid, "dbr"},         {kGlobalVariableGuid, "DeployedMode"},
      {kGlobalVariableGuid, "AuditMode"},
  };

  Fault FeedVariable(const Event& event, bool before) {
    if (!before) return At(event, "grammar.variable", "variable after the separator");
    const Result<EfiVariable> variable = ParseEfiVariable(event.data);
    if (!variable) return At(event, "grammar.variable", variable.error().detail);
    if (variable->trailing != 0) return At(event, "grammar.variable", "bytes after the variable");
    for (const Known& known : kVariables)
      if (known.name == variable->name && known.guid == variable->guid)
        return Note(event, known.name, *variable);
    return At(event, "grammar.variable", "unknown variable " + variable->name);
  }

  Fault Note(const Event& event, std::string_view name, const EfiVariable& variable) {
    if (!seen_.insert(name).second)
      return At(event, "grammar.variable", std::string(name) + " twice");
    const bool key = name == "PK" || name == "KEK" || name == "db";
    if (key && variable.content.empty()) empty_keys_ = true;
    if (name != "SecureBoot") return std::nullopt;
    if (variable.content.size() > 1 || (variable.content.size() == 1 && variable.content[0] > 1))
      return At(event, "grammar.secure-boot", "malformed SecureBoot variable");
    on_ = variable.content.size() == 1 && variable.content[0] == 1;  // an empty variable is not on
    return std::nullopt;
  }

  static Fault FeedAction(const Event& event) {
    const std::string_view action = AsText(event.data);
    if (action == kDebugMode) return At(event, "grammar.debug", "the firmware runs in debug mode");
    if (action == kDmaDisabled)
      return std::nullopt;  // stays among the judged events: a reference must list it
    return At(event, "grammar.event", "unknown action");
  }

  std::set<std::string_view> seen_;
  int authorities_ = 0;
  bool on_ = false;
  bool empty_keys_ = false;
};

// AnyPcr has no order of its own.
class AnyPcr {
 public:
  Fault Feed(const Event&, bool) { return std::nullopt; }
  Fault Finish() const { return std::nullopt; }
};

template <typename Order>
PcrGrammar Run(const EventLog& log, uint32_t pcr, Bank bank, Order& order) {
  PcrGrammar out;
  bool separated = false;
  for (const Event& event : log.events) {
    if (event.pcr != pcr || event.type == EventType::kNoAction) continue;
    out.fault = CheckEvent(event, bank);
    if (!out.fault && event.type == EventType::kSeparator)
      out.fault = CheckSeparator(event, separated);
    if (!out.fault) out.fault = order.Feed(event, !separated);
    if (out.fault) return out;
    separated |= event.type == EventType::kSeparator;
    if (!IsStructural(pcr, event.digest(bank), bank)) out.judged.push_back(&event);
  }
  if (!separated && (kSeparatorPcrs >> pcr & 1) != 0)
    out.fault =
        Missing("grammar.separator", "no separator: the bank may have been left unextended");
  else
    out.fault = order.Finish();
  return out;
}

}  // namespace

PcrGrammar CheckGrammar(const EventLog& log, uint32_t pcr, Bank bank) {
  if (pcr == 4) {
    Pcr4 order;
    return Run(log, pcr, bank, order);
  }
  if (pcr == 7) {
    Pcr7 order;
    PcrGrammar out = Run(log, pcr, bank, order);
    if (!out.fault) out.secure_boot = order.secure_boot();
    return out;
  }
  AnyPcr order;
  return Run(log, pcr, bank, order);
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
      out[BankIndex(each)] = {HashWith(each, AsBytes(kCalling)),
                              HashWith(each, AsBytes(kReturning))};
    return out;
  }();
  const Actions& known = kKnown[BankIndex(bank)];
  return Equal(digest, known.calling.view()) || Equal(digest, known.returning.view());
}

}  // namespace sallyport::server
