#include "policies/language/diagnostics.h"

#include <algorithm>
#include <cstdlib>

namespace sallyport::policy {
namespace {

// A suggestion further away than this is noise.
constexpr size_t kSuggestionDistanceMax = 3;
// Longer names are not compared: the distance is quadratic.
constexpr size_t kSuggestionNameMax = 64;

// EditDistance counts insertions, deletions, substitutions and swaps of neighbours.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + cost});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kSyntax: return "E-SYNTAX";
    case Code::kDuplicate: return "E-DUPLICATE";
    case Code::kUnknownKey: return "E-UNKNOWN-KEY";
    case Code::kType: return "E-TYPE";
    case Code::kRef: return "E-REF";
    case Code::kCycle: return "E-CYCLE";
    case Code::kRange: return "E-RANGE";
    case Code::kGuardrail: return "E-GUARDRAIL";
    case Code::kTest: return "E-TEST";
    case Code::kEmpty: return "W-EMPTY";
    case Code::kShadowed: return "W-SHADOWED";
    case Code::kUntested: return "W-UNTESTED";
    case Code::kNoExpiry: return "W-NOEXPIRY";
    case Code::kBroad: return "W-BROAD";
  }
  std::abort();
}

bool IsError(Code code) { return CodeName(code).starts_with("E-"); }

std::string FormatDiagnostic(const Diagnostic& diagnostic) {
  std::string out = diagnostic.file;
  if (diagnostic.at.line > 0)
    out += ":" + std::to_string(diagnostic.at.line) + ":" + std::to_string(diagnostic.at.column);
  out += IsError(diagnostic.code) ? ": error " : ": warning ";
  out += std::string(CodeName(diagnostic.code)) + ": " + diagnostic.message;
  if (!diagnostic.suggestion.empty()) out += " (did you mean '" + diagnostic.suggestion + "'?)";
  return out;
}

void Diagnostics::Add(Code code, Position at, std::string message, std::string suggestion) {
  if (IsError(code)) ++errors_;
  if (IsError(code) && code != Code::kTest && code != Code::kGuardrail) ++invalid_;
  all_.push_back({code, file_, at, std::move(message), std::move(suggestion)});
}

void Diagnostics::Sort() {
  std::ranges::stable_sort(all_, {},
                           [](const Diagnostic& d) { return std::pair(d.at.line, d.at.column); });
}

std::string ClosestName(std::string_view name, const std::vector<std::string>& candidates) {
  if (name.size() > kSuggestionNameMax) return {};
  std::string best;
  size_t best_distance = std::min(kSuggestionDistanceMax, name.size() / 2) + 1;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kSuggestionNameMax) continue;
    const size_t distance = EditDistance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace sallyport::policy
