#include "attestation-server/cli/render.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "pki/base/printable.h"

namespace sallyport::server {
namespace {

using Json = nlohmann::ordered_json;

std::string Cell(const Json& value);

// Joined are the values of an array or object.
std::string Joined(const Json& values, const char* between) {
  std::string out;
  for (const Json& item : values) out += (out.empty() ? "" : between) + Cell(item);
  return out.empty() ? "-" : out;
}

// Members reads "copy 10/41943040, full 1/4194304".
std::string Members(const Json& object) {
  std::string out;
  for (const auto& [key, value] : object.items())
    out += (out.empty() ? "" : ", ") + PrintableLine(key) + " " +
           (value.is_object() ? Joined(value, "/") : Cell(value));
  return out.empty() ? "-" : out;
}

std::string Cell(const Json& value) {
  if (value.is_string()) {
    std::string text = PrintableLine(value.get_ref<const std::string&>());
    return text.empty() ? "-" : text;
  }
  if (value.is_null()) return "-";
  if (value.is_object()) return Members(value);
  return value.is_array() ? Joined(value, ",") : value.dump();
}

constexpr size_t kCellMax = 72;  // wider cells are cut: --json has them whole

std::string Shown(const Json& value) {
  std::string cell = Cell(value);
  if (cell.size() > kCellMax) cell = cell.substr(0, kCellMax - 3) + "...";
  return cell;
}

// Rank puts what people look for first and long identifiers last.
int Rank(const std::string& key) {
  constexpr std::array kFirst{"seq",   "name",    "event", "role",  "version",
                              "state", "posture", "tier",  "online"};
  constexpr std::array kLast{"digest", "release_digest", "id", "hash", "record", "detail", "log"};
  const auto first = std::ranges::find(kFirst, key);
  if (first != kFirst.end()) return static_cast<int>(first - kFirst.begin()) - 100;
  const auto last = std::ranges::find(kLast, key);
  return last != kLast.end() ? static_cast<int>(last - kLast.begin()) + 100 : 0;
}

std::string Padded(const std::string& text, size_t width) {
  return text + std::string(width > text.size() ? width - text.size() : 0, ' ');
}

std::string Table(const Json& rows) {
  std::vector<std::string> columns;
  for (const Json& row : rows)
    for (const auto& [key, value] : row.items())
      if (std::ranges::find(columns, key) == columns.end()) columns.push_back(key);
  std::ranges::stable_sort(columns, {}, Rank);
  std::vector<size_t> widths;
  for (const std::string& column : columns) {
    size_t width = column.size();
    for (const Json& row : rows)
      if (row.contains(column)) width = std::max(width, Shown(row[column]).size());
    widths.push_back(width);
  }
  std::string out;
  for (size_t i = 0; i < columns.size(); ++i)
    out += Padded(columns[i], widths[i]) + (i + 1 < columns.size() ? "  " : "\n");
  for (const Json& row : rows)
    for (size_t i = 0; i < columns.size(); ++i) {
      const std::string cell = row.contains(columns[i]) ? Shown(row[columns[i]]) : "-";
      out += i + 1 < columns.size() ? Padded(cell, widths[i]) + "  " : cell + "\n";
    }
  return out;
}

std::string Lines(const Json& object) {
  size_t width = 0;
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) {
    keys.push_back(key);
    width = std::max(width, key.size());
  }
  std::ranges::stable_sort(keys, {}, Rank);
  std::string out;
  for (const std::string& key : keys) {
    const Json& value = object[key];
    const bool nested = value.is_array() && !value.empty() && value.front().is_object();
    const bool lines =
        value.is_string() && value.get_ref<const std::string&>().find('\n') != std::string::npos;
    if (nested)
      out += key + "\n" + Table(value);
    else if (lines)
      out += key + "\n" + Indented(value.get_ref<const std::string&>());
    else
      out += Padded(key, width) + "  " + Cell(value) + "\n";
  }
  return out;
}

}  // namespace

std::string Indented(std::string_view text) {
  std::string out = "  ";
  const std::string printable = PrintableText(text);
  for (size_t i = 0; i < printable.size(); ++i) {
    out += printable[i];
    if (printable[i] == '\n' && i + 1 < printable.size()) out += "  ";
  }
  return out.ends_with('\n') ? out : out + "\n";
}

std::string RenderJson(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_object()) return Lines(json);
  if (json.is_array() && json.empty()) return "(none)\n";
  if (json.is_array() && json.front().is_object()) return Table(json);
  return std::string(text) + "\n";
}

}  // namespace sallyport::server
