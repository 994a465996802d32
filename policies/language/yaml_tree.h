// The strict YAML profile of policy and inventory files: one document of maps, lists and scalars.
// Refused, because YAML readers commonly accept them silently: duplicate keys, anchors, aliases,
// merge keys, tags, a second document, keys that are not scalars. Every node knows its place. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policies/language/diagnostics.h"

namespace sallyport::policy {

struct YamlEntry;

struct YamlNode {
  enum class Kind : uint8_t { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  Position at;
  std::string text;  // kScalar: always a string; `quoted` tells "true" from true
  bool quoted = false;
  std::vector<YamlNode> items;     // kList
  std::vector<YamlEntry> entries;  // kMap, in file order, keys distinct
};

struct YamlEntry {
  std::string key;
  Position at;
  YamlNode value;
};

// The language nests five deep; the rest is slack.
inline constexpr size_t kYamlDepthMax = 16;
// A policy of 1,000 grants is about 300 KB, an inventory of 100,000 devices about 10 MB.
inline constexpr size_t kYamlSizeMax = size_t{64} << 20;

// ReadYaml returns nothing when `text` is not of the profile; each finding is then in `out`.
std::optional<YamlNode> ReadYaml(std::string_view text, Diagnostics& out);

}  // namespace sallyport::policy
