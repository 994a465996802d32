#include "attestation-server/evidence/grammar_order.h"

namespace sallyport::server {
namespace {

// GRUB's descriptions; the digest is of the text behind the prefix, without the closing zero.
constexpr std::string_view kGrubPrefixes[] = {"grub_cmd: ", "kernel_cmdline: ", "module_cmdline: "};
constexpr std::string_view kRedHatPrefixes[] = {"grub_cmd ", "grub_kernel_cmdline "};
constexpr std::string_view kMokVariables[] = {
    "MokList",     "MokListX",  "MokListTrusted", "MokSBState", "MokDBState",
    "MokIgnoreDB", "MokPolicy", "SbatLevel",      "MokListRT",  "MokListXRT"};
constexpr size_t kTagHeaderSize = 8;  // TCG_PCClientTaggedEvent: id, size
constexpr size_t kSectionNameMax = 64;

std::string_view WithoutZero(std::string_view text) {
  if (text.ends_with('\0')) text.remove_suffix(1);
  return text;
}

bool IsUtf16Text(ByteView data) {
  return data.size() >= 4 && data[0] != 0 && data[1] == 0 && data[3] == 0;
}

// Pcr8Order: commands of GRUB. Before 251 systemd-boot measured load options here.
class Pcr8Order : public PcrOrder {
 public:
  explicit Pcr8Order(OrderContext& context) : context_(context) {}
  Fault Feed(const Event& event, bool, size_t) override {
    if (event.type != EventType::kIpl) return std::nullopt;
    const std::string_view text = WithoutZero(AsText(event.data));
    for (const std::string_view prefix : kGrubPrefixes)
      if (text.starts_with(prefix)) return Command(event, text.substr(prefix.size()));
    for (const std::string_view prefix : kRedHatPrefixes)
      if (text.starts_with(prefix) && context_.Excuses(QuirkId::kRedHatGrubText))
        return std::nullopt;
    if (IsUtf16Text(event.data) && context_.Excuses(QuirkId::kSystemdBootPcr8)) return std::nullopt;
    return FaultAt(event, "grammar.text", "neither a command nor a kernel command line");
  }

 private:
  Fault Command(const Event& event, std::string_view text) {
    if (Equal(HashWith(context_.bank(), AsBytes(text)).view(), event.digest(context_.bank())))
      return std::nullopt;
    return FaultAt(event, "grammar.text", "the command does not hash to the digest");
  }
  OrderContext& context_;
};

// Pcr9Order: files of GRUB by name (a hint), load options and initrd of the kernel as tagged
// events.
class Pcr9Order : public PcrOrder {
 public:
  Fault Feed(const Event& event, bool, size_t) override {
    if (event.type != EventType::kEventTag) return std::nullopt;
    ByteReader reader(event.data, "tagged event");
    const Result<ByteView> id = reader.Take(kTagHeaderSize / 2);
    const Result<uint32_t> size = reader.LittleU32();
    if (id && size && *size == reader.remaining()) return std::nullopt;
    return FaultAt(event, "grammar.tag", "the sizes of the tagged event disagree");
  }
};

// Pcr11Order: systemd's stub measures of each section the name (ASCII, closed by a zero), then the
// content, both under the name in UTF-16.
class Pcr11Order : public PcrOrder {
 public:
  explicit Pcr11Order(Bank bank) : bank_(bank) {}
  Fault Feed(const Event& event, bool, size_t) override {
    if (event.type != EventType::kIpl) return std::nullopt;
    if (!section_.empty()) {
      const bool same = Equal(section_, event.data);
      section_ = {};
      if (same) return std::nullopt;
      return FaultAt(event, "grammar.stub", "the content of another section than was named");
    }
    std::string name;
    for (size_t i = 0; i + 1 < event.data.size() && name.size() < kSectionNameMax; i += 2)
      name += event.data[i + 1] == 0 ? static_cast<char>(event.data[i]) : '?';
    if (name.empty() || !Equal(HashWith(bank_, AsBytes(name)).view(), event.digest(bank_)))
      return FaultAt(event, "grammar.stub", "not the name of a section");
    section_ = event.data;
    return std::nullopt;
  }
  Fault Finish(PcrGrammar&) override {
    if (section_.empty()) return std::nullopt;
    return Missing("grammar.stub", "the content of the last section is missing");
  }

 private:
  Bank bank_;
  ByteView section_;  // named, its content not yet seen
};

// Pcr14Order: shim's variables, by name.
class Pcr14Order : public PcrOrder {
 public:
  Fault Feed(const Event& event, bool, size_t) override {
    if (event.type != EventType::kIpl) return std::nullopt;
    const std::string_view name = WithoutZero(AsText(event.data));
    if (std::ranges::find(kMokVariables, name) != std::end(kMokVariables)) return std::nullopt;
    return FaultAt(event, "grammar.mok", "not a variable of shim");
  }
};

}  // namespace

std::unique_ptr<PcrOrder> MakeLoaderOrder(uint32_t pcr, OrderContext& context) {
  if (pcr == 8) return std::make_unique<Pcr8Order>(context);
  if (pcr == 9) return std::make_unique<Pcr9Order>();
  if (pcr == 11) return std::make_unique<Pcr11Order>(context.bank());
  if (pcr == 14) return std::make_unique<Pcr14Order>();
  return std::make_unique<PcrOrder>();
}

}  // namespace sallyport::server
