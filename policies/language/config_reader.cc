#include "policies/language/config_reader.h"

#include <charconv>

namespace sallyport::policy {
namespace {

constexpr unsigned kPortMax = 32767;

}  // namespace

bool IsConfigText(const YamlNode& node, Diagnostics& findings) {
  if (node.kind == YamlNode::Kind::kScalar && !node.text.empty()) return true;
  findings.Add(Code::kType, node.at, "expected text");
  return false;
}

void ReadConfigDuration(Duration& out, const YamlNode& node, Duration min, Duration max,
                        Diagnostics& findings) {
  if (!IsConfigText(node, findings)) return;
  const Result<Duration> value = ParseDuration(node.text);
  if (!value) return findings.Add(Code::kType, node.at, "expected a duration such as 10m");
  if (*value < min || *value > max)
    return findings.Add(Code::kRange, node.at,
                        "expected " + FormatDuration(min) + " to " + FormatDuration(max));
  out = *value;
}

void ReadConfigAddress(std::string& out, const YamlNode& node, Diagnostics& findings) {
  if (!IsConfigText(node, findings)) return;
  const size_t colon = node.text.rfind(':');
  const char* const end = node.text.data() + node.text.size();
  unsigned port = 0;
  const bool number = colon != std::string::npos &&
                      std::from_chars(node.text.data() + colon + 1, end, port).ptr == end;
  if (!number || colon == 0 || port == 0 || port > kPortMax)
    return findings.Add(Code::kRange, node.at,
                        "expected host:port with a port of 1 to " + std::to_string(kPortMax));
  out = node.text;
}

void ReadConfigWord(std::string& out, const YamlNode& node,
                    std::initializer_list<std::string_view> words, Diagnostics& findings) {
  if (std::ranges::find(words, node.text) != words.end()) {
    out = node.text;
    return;
  }
  std::string list;
  for (const std::string_view word : words) list += (list.empty() ? "" : ", ") + std::string(word);
  findings.Add(Code::kRange, node.at, "expected one of " + list);
}

Error ConfigError(const Diagnostics& findings) {
  std::string detail;
  for (const Diagnostic& finding : findings.all())
    detail += (detail.empty() ? "" : "\n") + FormatDiagnostic(finding);
  return Error{Reason::kMalformed, std::move(detail), "config"};
}

}  // namespace sallyport::policy
