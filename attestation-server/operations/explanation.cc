#include "attestation-server/operations/explanation.h"

#include <algorithm>

namespace sallyport::server {
namespace {

constexpr size_t kShownDigits = 16;  // of a digest: enough to find it, short enough to read
constexpr size_t kShownData = 80;    // of what an event says of itself

std::string Short(std::string_view hex) {
  return hex.size() <= kShownDigits ? std::string(hex)
                                    : std::string(hex.substr(0, kShownDigits)) + "..";
}

// ThingOf names what an event of a PCR measures, in the words of people.
std::string_view ThingOf(int64_t pcr, std::string_view type) {
  switch (pcr) {
    case 0: return "firmware code";
    case 1: return "firmware setting";
    case 2: return "option rom or driver";
    case 3: return "option rom setting";
    case 4: return type == "EV_EFI_BOOT_SERVICES_APPLICATION" ? "boot image" : "boot event";
    case 5: return "partition table or boot setting";
    case 7: return "secure boot variable or authority";
    case 8: return "boot loader command";
    case 9: return "file that the boot loader read";
    case 10: return "file that ran";
    case 11: return "section of the kernel image";
    case 12: return "kernel command line or add-on";
    case 13: return "system extension";
    case 14: return "shim key";
    default: return "event";
  }
}

std::string Printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, kShownData)) out += c >= ' ' && c <= '~' ? c : '?';
  return text.size() > kShownData ? out + ".." : out;
}

std::string OthersText(const Others& others) {
  if (others.devices == 0) return "no other device has shown it";
  return std::to_string(others.devices) +
         (others.devices == 1 ? " other device shows it" : " other devices show it") + " since " +
         FormatRfc3339(others.since) + " (" + std::to_string(others.failing) + " of them fail now)";
}

struct Entry {
  int64_t pcr = 0;
  int64_t event = -1;
  std::string_view type, got, data, expected, what;
};

Result<Entry> ReadEntry(const JsonCursor& json) {
  Entry out;
  SP_TRY(out.pcr, json.GetInteger("pcr", 0));
  SP_TRY(out.event, json.GetInteger("event", -1));
  SP_TRY(out.type, json.GetString("type"));
  SP_TRY(out.got, json.GetString("got"));
  SP_TRY(out.data, json.GetString("data"));
  SP_TRY(out.expected, json.GetString("expected"));
  SP_TRY(out.what, json.GetString("what"));
  return out;
}

std::string Difference(const Entry& entry, const std::string& where) {
  const std::string what(entry.what);
  if (entry.got.empty())
    return what.empty() || entry.expected.empty()
               ? what
               : "an event is missing that " + where + " expects: " + what + " " +
                     Short(entry.expected);
  if (entry.event < 0)
    return "holds " + Short(entry.got) + ", " + where + " expects " + Short(entry.expected) + " (" +
           what + ")";
  std::string out = std::string(ThingOf(entry.pcr, entry.type)) + " " + Short(entry.got);
  if (!entry.data.empty()) out += " (it calls itself \"" + Printable(entry.data) + "\")";
  if (entry.expected.empty()) return out + " does not belong there: " + what;
  return out + " is not in " + where + ", which expects " + Short(entry.expected);
}

}  // namespace

Result<std::string> ExplainDifference(const JsonCursor& difference, const Nearest& nearest,
                                      const Others& others) {
  SP_TRY(const Entry entry, ReadEntry(difference));
  std::string out = "PCR " + std::to_string(entry.pcr);
  if (entry.event >= 0) out += " event " + std::to_string(entry.event);
  out += ": " + Difference(entry, nearest.name.empty() ? "the log" : nearest.name);
  return entry.got.empty() ? out : out + "; " + OthersText(others);
}

std::string ExplainRule(std::string_view rule) {
  if (rule.starts_with("pcr.") || rule == "reference.match")
    return "the boot is authentic and is none that this device may run";
  if (rule == "reference.available") return "nobody has approved reference values for this device";
  if (rule.starts_with("secure-boot."))
    return "Secure Boot is off, or its keys are not those that are allowed";
  if (rule.starts_with("log."))
    return "the event log is missing, malformed, or not the one of the quoted PCRs";
  if (rule.starts_with("ak.")) return "the attestation key is not the one that was enrolled";
  if (rule.starts_with("quote.")) return "the quote does not prove what was asked for";
  if (rule.starts_with("key.") || rule.starts_with("tls."))
    return "the TLS key is not proven to live in this TPM";
  if (rule.starts_with("floors."))
    return "the rollback floors are not proven to be those of this TPM";
  if (rule.starts_with("ima.")) return "a file ran, or was measured, that is not allowed";
  return "";
}

bool LacksReferenceOnly(const JsonCursor& checks) {
  const Result<std::vector<JsonCursor>> all = checks.Elements();
  return all && !all->empty() && std::ranges::all_of(*all, [](const JsonCursor& check) {
           const Result<std::string_view> rule = check.GetString("rule");
           const Result<std::string_view> result = check.GetString("result");
           if (!rule || !result) return false;
           if (*result == "not-run") return rule->starts_with("ima.");
           return *result == "fail" &&
                  (*rule == "reference.match" || *rule == "reference.available" ||
                   rule->starts_with("pcr."));
         });
}

}  // namespace sallyport::server
