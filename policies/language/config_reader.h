// Reading strict YAML into a struct by a table of keys: unknown keys, missing keys, wrong types and
// ranges are findings with their place. For the configuration files of both programs. Pure.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "pki/base/time.h"
#include "policies/language/yaml_tree.h"

namespace sallyport::policy {

template <typename T>
struct ConfigKey {
  std::string_view name;
  std::string_view meaning;
  std::function<void(T&, const YamlNode&, Diagnostics&)> read;
  bool required = false;
};

// ReadConfigMap runs the reader of each key of `node`.
template <typename T>
void ReadConfigMap(T& out, const YamlNode& node, const std::vector<ConfigKey<T>>& keys,
                   Diagnostics& findings) {
  if (node.kind != YamlNode::Kind::kMap)
    return findings.Add(Code::kType, node.at, "expected a map");
  for (const YamlEntry& entry : node.entries) {
    const auto found = std::ranges::find(keys, entry.key, &ConfigKey<T>::name);
    if (found == keys.end())
      findings.Add(Code::kUnknownKey, entry.at, "unknown key '" + entry.key + "'");
    else
      found->read(out, entry.value, findings);
  }
  for (const ConfigKey<T>& key : keys)
    if (key.required &&
        std::ranges::find(node.entries, key.name, &YamlEntry::key) == node.entries.end())
      findings.Add(Code::kType, node.at, "key '" + std::string(key.name) + "' is missing");
}

// IsConfigText says whether `node` is a scalar that is not empty, and reports it otherwise.
bool IsConfigText(const YamlNode& node, Diagnostics& findings);
// ReadConfigDuration reports a text that is no duration or is outside [min, max]; `out` is then
// unchanged.
void ReadConfigDuration(Duration& out, const YamlNode& node, Duration min, Duration max,
                        Diagnostics& findings);
// ReadConfigAddress takes host:port. Ports above 32767 lie in the ephemeral range, where a client
// may connect to itself, and are refused.
void ReadConfigAddress(std::string& out, const YamlNode& node, Diagnostics& findings);
// ReadConfigWord takes one of `words`.
void ReadConfigWord(std::string& out, const YamlNode& node,
                    std::initializer_list<std::string_view> words, Diagnostics& findings);

template <typename T>
auto ConfigText(std::string T::* member) {
  return [member](T& out, const YamlNode& node, Diagnostics& findings) {
    if (IsConfigText(node, findings)) out.*member = node.text;
  };
}
template <typename T>
auto ConfigAddress(std::string T::* member) {
  return [member](T& out, const YamlNode& node, Diagnostics& findings) {
    ReadConfigAddress(out.*member, node, findings);
  };
}
template <typename T>
auto ConfigDuration(Duration T::* member, Duration min, Duration max) {
  return [=](T& out, const YamlNode& node, Diagnostics& findings) {
    ReadConfigDuration(out.*member, node, min, max, findings);
  };
}

// DescribeConfigKeys writes one Markdown table row per key.
template <typename T>
std::string DescribeConfigKeys(std::string_view prefix, const std::vector<ConfigKey<T>>& keys) {
  std::string out;
  for (const ConfigKey<T>& key : keys)
    out += "| `" + std::string(prefix) + std::string(key.name) + "` | " +
           (key.required ? "yes" : "no") + " | " + std::string(key.meaning) + " |\n";
  return out;
}

// ConfigError joins all findings into one error, one per line; kMalformed, rule "config".
Error ConfigError(const Diagnostics& findings);

}  // namespace sallyport::policy
