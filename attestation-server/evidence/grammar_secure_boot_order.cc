#include "attestation-server/evidence/grammar_order.h"

namespace sallyport::server {
namespace {

constexpr std::string_view kDebugMode = "UEFI Debug Mode";
constexpr std::string_view kDmaDisabled = "DMA Protection Disabled";

struct KnownVariable {
  std::string_view guid;
  std::string_view name;
};
constexpr KnownVariable kVariables[] = {
    {kGlobalVariableGuid, "SecureBoot"}, {kGlobalVariableGuid, "PK"},
    {kGlobalVariableGuid, "KEK"},        {kImageSecurityGuid, "db"},
    {kImageSecurityGuid, "dbx"},         {kImageSecurityGuid, "dbt"},
    {kImageSecurityGuid, "dbr"},         {kGlobalVariableGuid, "DeployedMode"},
    {kGlobalVariableGuid, "AuditMode"},
};

class Pcr7Order : public PcrOrder {
 public:
  Fault Feed(const Event& event, bool before, size_t) override {
    if (event.type == EventType::kVariableDriverConfig) return Variable(event, before);
    if (event.type == EventType::kVariableAuthority) return Authority(event, before);
    if (event.type == EventType::kEfiAction) return Action(event);
    if (event.type != EventType::kSeparator) content_.others.push_back(&event);
    return std::nullopt;
  }

  Fault Finish(PcrGrammar& out) override {
    for (const std::string_view name : {"SecureBoot", "PK", "KEK", "db", "dbx"})
      if (!seen_.contains(name))
        return Missing("grammar.variable", "no " + std::string(name) + " variable");
    const bool empty =
        seen_["PK"].content.empty() || seen_["KEK"].content.empty() || seen_["db"].content.empty();
    if (on_ && empty) return Missing("grammar.secure-boot", "on, with an empty PK, KEK or db");
    if (on_ && content_.authorities.empty())
      return Missing("grammar.secure-boot", "on, and nothing was authorised");
    out.secure_boot = on_;
    content_.pk = List("PK");
    content_.kek = List("KEK");
    content_.db = List("db");
    content_.dbx = List("dbx");
    out.secure_boot_state = std::move(content_);
    return std::nullopt;
  }

 private:
  std::optional<std::vector<SignatureId>> List(std::string_view name) {
    Result<std::vector<SignatureId>> list = ParseSignatureLists(seen_[name].content);
    if (!list) return std::nullopt;
    return *std::move(list);
  }

  Fault Variable(const Event& event, bool before) {
    if (!before) return FaultAt(event, "grammar.variable", "variable after the separator");
    const Result<EfiVariable> variable = ParseEfiVariable(event.data);
    if (!variable) return FaultAt(event, "grammar.variable", variable.error().detail);
    if (variable->trailing != 0)
      return FaultAt(event, "grammar.variable", "bytes after the variable");
    for (const KnownVariable& known : kVariables)
      if (known.name == variable->name && known.guid == variable->guid)
        return Note(event, known.name, *variable);
    return FaultAt(event, "grammar.variable", "unknown variable " + variable->name);
  }

  Fault Note(const Event& event, std::string_view name, const EfiVariable& variable) {
    if (!seen_.emplace(name, Seen{variable.content}).second)
      return FaultAt(event, "grammar.variable", std::string(name) + " twice");
    const ByteView content = variable.content;
    if (name == "PK" || name == "KEK" || name == "db" || name == "dbx") return std::nullopt;
    if (name != "SecureBoot") {
      content_.others.push_back(&event);
      return std::nullopt;
    }
    if (content.size() > 1 || (content.size() == 1 && content[0] > 1))
      return FaultAt(event, "grammar.secure-boot", "malformed SecureBoot variable");
    on_ = content.size() == 1 && content[0] == 1;  // an empty variable is not on
    return std::nullopt;
  }

  Fault Authority(const Event& event, bool before) {
    if (before) return FaultAt(event, "grammar.variable", "authority before the separator");
    const Result<EfiVariable> variable = ParseEfiVariable(event.data);
    if (!variable) return FaultAt(event, "grammar.variable", variable.error().detail);
    SecureBootContent::Authority out{&event, std::nullopt};
    if (variable->name == "db" && variable->guid == kImageSecurityGuid)
      if (const Result<SignatureId> id = ParseSignatureData(variable->content)) out.from = *id;
    content_.authorities.push_back(out);
    return std::nullopt;
  }

  Fault Action(const Event& event) {
    const std::string_view action = AsText(event.data);
    if (action == kDebugMode)
      return FaultAt(event, "grammar.debug", "the firmware runs in debug mode");
    if (action != kDmaDisabled) return FaultAt(event, "grammar.event", "unknown action");
    content_.others.push_back(&event);  // stays among the judged events: a reference must list it
    return std::nullopt;
  }

  struct Seen {
    ByteView content;
  };
  std::map<std::string_view, Seen> seen_;
  SecureBootContent content_;
  bool on_ = false;
};

}  // namespace

std::unique_ptr<PcrOrder> MakePcr7Order() { return std::make_unique<Pcr7Order>(); }

}  // namespace sallyport::server
