// Typed access to one YAML node with a finding for everything that does not fit: the vocabulary
// that reader.cc is written in. Functions return nothing after reporting. Internal to
// policies/language.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "policies/language/model.h"
#include "policies/language/yaml_tree.h"

namespace sallyport::policy {

// MapReader hands out the entries of a map by key; Finish reports keys that nobody asked for.
// `what` describes the map in messages ("grant 'tech-ssh'"). Borrows `node` and `out`.
class MapReader {
 public:
  MapReader(const YamlNode& node, std::string what, Diagnostics& out);
  // Optional returns null when the key is absent; Required reports that.
  const YamlNode* Optional(std::string_view key);
  const YamlNode* Required(std::string_view key);
  void Finish() const;
  bool ok() const { return node_.kind == YamlNode::Kind::kMap; }
  Position at() const { return node_.at; }
  const std::string& what() const { return what_; }
  void set_what(std::string what) { what_ = std::move(what); }
  Diagnostics& out() const { return out_; }

 private:
  const YamlNode& node_;
  std::string what_;
  Diagnostics& out_;
  std::set<std::string, std::less<>> known_;
};

std::optional<std::string> AsText(const YamlNode& node, std::string_view what, Diagnostics& out);
// AsName takes `[a-z0-9][a-z0-9._-]*` of at most 64 bytes.
std::optional<Name> AsName(const YamlNode& node, std::string_view what, Diagnostics& out);
// AsNames takes one name or a list of distinct names.
std::vector<Name> AsNames(const YamlNode& node, std::string_view what, Diagnostics& out);
std::optional<bool> AsBool(const YamlNode& node, std::string_view what, Diagnostics& out);
std::optional<UnixTime> AsTime(const YamlNode& node, std::string_view what, Diagnostics& out);
std::optional<Duration> AsDuration(const YamlNode& node, std::string_view what, Diagnostics& out);
// AsMinute takes "hh:mm" from 00:00 to 24:00.
std::optional<uint16_t> AsMinute(const YamlNode& node, std::string_view what, Diagnostics& out);
// AsPorts takes `tcp/443` or `udp/1000-2000`.
std::optional<PortRange> AsPorts(const YamlNode& node, std::string_view what, Diagnostics& out);
// AsChoice returns the index of the scalar in `choices`.
std::optional<size_t> AsChoice(const YamlNode& node, std::string_view what,
                               const std::vector<std::string>& choices, Diagnostics& out);
// Items returns the items of a list; reports another kind.
const std::vector<YamlNode>& Items(const YamlNode& node, std::string_view what, Diagnostics& out);

}  // namespace sallyport::policy
