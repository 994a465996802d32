// Findings about a policy or inventory text: stable codes, exact places, and what was probably
// meant. Every finding is reported, not only the first. Pure; a Diagnostics belongs to one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::policy {

enum class Code : uint8_t {
  kSyntax,      // not YAML of the strict profile
  kDuplicate,   // a key, id or list item appears twice
  kUnknownKey,  // a key the language does not have
  kType,        // wrong kind of value, or a required key is missing
  kRef,         // a name that nothing defines
  kCycle,       // groups that contain each other
  kRange,       // right kind, impossible value
  kGuardrail,   // a grant contradicts a guardrail
  kTest,        // a test of the policy failed
  kEmpty,       // warning: a group without members
  kShadowed,    // warning: a grant that another one makes superfluous
  kUntested,    // warning: a grant that no test exercises
  kNoExpiry,    // warning: interactive access without an end
  kBroad,       // warning: from, to or service is `any`
};

std::string_view CodeName(Code code);
bool IsError(Code code);

// Position is 1-based; line 0 means "the file as a whole".
struct Position {
  int line = 0;
  int column = 0;
};

struct Diagnostic {
  Code code;
  std::string file;
  Position at;
  std::string message;
  std::string suggestion;  // a name that exists, or empty
};

// FormatDiagnostic writes `file:line:col: error E-REF: message (did you mean 'x'?)`.
std::string FormatDiagnostic(const Diagnostic& diagnostic);

// Diagnostics collects the findings about one file.
class Diagnostics {
 public:
  explicit Diagnostics(std::string file) : file_(std::move(file)) {}
  void Add(Code code, Position at, std::string message, std::string suggestion = {});
  const std::vector<Diagnostic>& all() const { return all_; }
  bool has_errors() const { return errors_ > 0; }
  // has_invalid_input is true when an error other than E-TEST and E-GUARDRAIL was found.
  bool has_invalid_input() const { return invalid_ > 0; }
  // Sort orders findings by place, errors and warnings alike.
  void Sort();

 private:
  std::string file_;
  std::vector<Diagnostic> all_;
  size_t errors_ = 0;
  size_t invalid_ = 0;
};

// ClosestName returns the candidate nearest to `name` by edit distance, or empty when none is near.
std::string ClosestName(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace sallyport::policy
