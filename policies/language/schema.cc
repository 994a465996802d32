#include "policies/language/schema.h"

#include <algorithm>
#include <charconv>

#include "policies/language/reader.h"

namespace sallyport::policy {
namespace {

// A freshness or offline period beyond a year is a slip of the pen.
constexpr Duration kDurationMax = Days(366);

std::string_view KindName(YamlNode::Kind kind) {
  switch (kind) {
    case YamlNode::Kind::kNull: return "nothing";
    case YamlNode::Kind::kScalar: return "a single value";
    case YamlNode::Kind::kList: return "a list";
    case YamlNode::Kind::kMap: return "a map";
  }
  std::abort();
}

void WrongType(const YamlNode& node, std::string_view what, std::string_view wanted,
               Diagnostics& out) {
  out.Add(Code::kType, node.at,
          std::string(what) + " must be " + std::string(wanted) + ", not " +
              std::string(KindName(node.kind)));
}

std::optional<int> AsNumber(std::string_view digits, int max) {
  int value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  const bool leading_zero = digits.size() > 1 && digits[0] == '0';
  if (error != std::errc() || end != digits.data() + digits.size() || leading_zero || value < 0 ||
      value > max)
    return std::nullopt;
  return value;
}

bool IsNameCharacter(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool IsName(std::string_view text) {
  if (text.empty() || text.size() > kNameSizeMax || !IsNameCharacter(text[0])) return false;
  return std::ranges::all_of(
      text, [](char c) { return IsNameCharacter(c) || c == '.' || c == '_' || c == '-'; });
}

}  // namespace

MapReader::MapReader(const YamlNode& node, std::string what, Diagnostics& out)
    : node_(node), what_(std::move(what)), out_(out) {
  if (!ok()) WrongType(node, what_, "a map", out);
}

const YamlNode* MapReader::Optional(std::string_view key) {
  known_.emplace(key);
  const auto found = std::ranges::find(node_.entries, key, &YamlEntry::key);
  return found == node_.entries.end() ? nullptr : &found->value;
}

const YamlNode* MapReader::Required(std::string_view key) {
  const YamlNode* value = Optional(key);
  if (!value && ok())
    out_.Add(Code::kType, node_.at, what_ + " lacks the key '" + std::string(key) + "'");
  return value;
}

void MapReader::Finish() const {
  const std::vector<std::string> known(known_.begin(), known_.end());
  for (const YamlEntry& entry : node_.entries) {
    if (known_.contains(entry.key)) continue;
    out_.Add(Code::kUnknownKey, entry.at, "unknown key '" + entry.key + "' in " + what_,
             ClosestName(entry.key, known));
  }
}

std::optional<std::string> AsText(const YamlNode& node, std::string_view what, Diagnostics& out) {
  if (node.kind != YamlNode::Kind::kScalar) {
    WrongType(node, what, "a text", out);
    return std::nullopt;
  }
  const bool control =
      std::ranges::any_of(node.text, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
  if (node.text.size() > kFreeTextSizeMax || control) {
    out.Add(Code::kRange, node.at,
            std::string(what) + " must be one line of at most " + std::to_string(kFreeTextSizeMax) +
                " bytes");
    return std::nullopt;
  }
  return node.text;
}

std::optional<Name> AsName(const YamlNode& node, std::string_view what, Diagnostics& out) {
  if (node.kind != YamlNode::Kind::kScalar) {
    WrongType(node, what, "a name", out);
    return std::nullopt;
  }
  if (!IsName(node.text)) {
    out.Add(Code::kType, node.at,
            std::string(what) + " must be a name of a-z, 0-9, '.', '_', '-' (at most 64), not '" +
                node.text.substr(0, kNameSizeMax) + "'");
    return std::nullopt;
  }
  return Name{node.text, node.at};
}

std::vector<Name> AsNames(const YamlNode& node, std::string_view what, Diagnostics& out) {
  std::vector<Name> names;
  if (node.kind == YamlNode::Kind::kScalar) {
    if (auto name = AsName(node, what, out)) names.push_back(*std::move(name));
    return names;
  }
  if (node.kind != YamlNode::Kind::kList || node.items.empty()) {
    WrongType(node, what, "a name or a list of names", out);
    return names;
  }
  std::set<std::string> seen;
  for (const YamlNode& item : node.items) {
    auto name = AsName(item, what, out);
    if (!name) continue;
    if (!seen.insert(name->text).second)
      out.Add(Code::kDuplicate, item.at, "'" + name->text + "' appears twice");
    names.push_back(*std::move(name));
  }
  return names;
}

std::optional<bool> AsBool(const YamlNode& node, std::string_view what, Diagnostics& out) {
  if (node.kind == YamlNode::Kind::kScalar && !node.quoted &&
      (node.text == "true" || node.text == "false"))
    return node.text == "true";
  out.Add(Code::kType, node.at, std::string(what) + " must be true or false");
  return std::nullopt;
}

std::optional<UnixTime> AsTime(const YamlNode& node, std::string_view what, Diagnostics& out) {
  if (node.kind == YamlNode::Kind::kScalar) {
    const auto time = ParseRfc3339(node.text);
    if (time) return *time;
  }
  out.Add(Code::kType, node.at, std::string(what) + " must be a time such as 2027-06-30T00:00:00Z");
  return std::nullopt;
}

std::optional<Duration> AsDuration(const YamlNode& node, std::string_view what, Diagnostics& out) {
  const auto duration = ParseDuration(node.kind == YamlNode::Kind::kScalar ? node.text : "");
  if (!duration) {
    out.Add(Code::kType, node.at,
            std::string(what) + " must be a duration such as 90s, 10m, 24h or 7d");
    return std::nullopt;
  }
  if (*duration < Seconds(1) || *duration > kDurationMax) {
    out.Add(Code::kRange, node.at, std::string(what) + " must be between 1s and 366d");
    return std::nullopt;
  }
  return *duration;
}

std::optional<uint16_t> AsMinute(const YamlNode& node, std::string_view what, Diagnostics& out) {
  const std::string& text = node.text;
  const auto digit = [&](size_t i) { return text[i] >= '0' && text[i] <= '9'; };
  const bool shaped = node.kind == YamlNode::Kind::kScalar && text.size() == 5 && text[2] == ':' &&
                      digit(0) && digit(1) && digit(3) && digit(4);
  if (!shaped) {
    out.Add(Code::kType, node.at, std::string(what) + " must be a time of day such as \"02:00\"");
    return std::nullopt;
  }
  const int hour = (text[0] - '0') * 10 + (text[1] - '0');
  const int minute = (text[3] - '0') * 10 + (text[4] - '0');
  if (minute > 59 || hour * 60 + minute > 1440) {
    out.Add(Code::kRange, node.at, std::string(what) + " must be between 00:00 and 24:00");
    return std::nullopt;
  }
  return static_cast<uint16_t>(hour * 60 + minute);
}

std::optional<PortRange> AsPorts(const YamlNode& node, std::string_view what, Diagnostics& out) {
  const std::string_view text =
      node.kind == YamlNode::Kind::kScalar ? std::string_view(node.text) : "";
  const size_t slash = text.find('/');
  const auto protocol = slash == text.npos ? std::nullopt : ProtocolFromName(text.substr(0, slash));
  if (!protocol) {
    out.Add(Code::kType, node.at,
            std::string(what) + " must list ports such as tcp/443 or udp/1000-2000");
    return std::nullopt;
  }
  const std::string_view ports = text.substr(slash + 1);
  const size_t dash = ports.find('-');
  const auto first = AsNumber(ports.substr(0, dash), UINT16_MAX);
  const auto last = dash == ports.npos ? first : AsNumber(ports.substr(dash + 1), UINT16_MAX);
  if (!first || !last || *first == 0 || *first > *last) {
    out.Add(Code::kRange, node.at,
            std::string(what) + " has no valid port or range: '" + std::string(text) + "'");
    return std::nullopt;
  }
  return PortRange{*protocol, static_cast<uint16_t>(*first), static_cast<uint16_t>(*last)};
}

std::optional<size_t> AsChoice(const YamlNode& node, std::string_view what,
                               const std::vector<std::string>& choices, Diagnostics& out) {
  const auto found = std::ranges::find(choices, node.text);
  if (node.kind == YamlNode::Kind::kScalar && found != choices.end())
    return static_cast<size_t>(found - choices.begin());
  std::string list;
  for (const std::string& choice : choices) list += (list.empty() ? "" : ", ") + choice;
  out.Add(Code::kType, node.at, std::string(what) + " must be one of " + list,
          ClosestName(node.text, choices));
  return std::nullopt;
}

const std::vector<YamlNode>& Items(const YamlNode& node, std::string_view what, Diagnostics& out) {
  if (node.kind != YamlNode::Kind::kList) WrongType(node, what, "a list", out);
  return node.items;
}

}  // namespace sallyport::policy
