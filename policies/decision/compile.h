// CompiledPolicy: rules and facts folded so that one decision is a few word-wise ANDs. Devices that
// no rule can tell apart share a class; per class and per service there is one bit for each rule.
// Immutable, thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "policies/decision/rules.h"

namespace sallyport::policy {

struct TransparentHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
template <typename T>
using StringMap = std::unordered_map<std::string, T, TransparentHash, std::equal_to<>>;

// BitRows is a matrix of bits, one row of whole words per class or service.
class BitRows {
 public:
  BitRows() = default;
  BitRows(size_t rows, size_t bits) : words_((bits + 63) / 64), data_(rows * words_) {}
  void Set(size_t row, size_t bit) { data_[row * words_ + bit / 64] |= uint64_t{1} << (bit % 64); }
  const uint64_t* row(size_t i) const { return data_.data() + i * words_; }
  size_t words() const { return words_; }

 private:
  size_t words_ = 0;
  std::vector<uint64_t> data_;
};

class CompiledPolicy {
 public:
  using Index = uint32_t;
  struct DeviceRow {
    Index device_class;
    Index site;
    DeviceState state;
    Tier tier;
    uint64_t min_epoch;
  };

  const std::vector<GrantRule>& grants() const { return rules_.grants; }
  const std::vector<GuardrailRule>& guardrails() const { return rules_.guardrails.rules; }
  const std::map<std::string, Selector>& groups() const { return rules_.groups; }
  const std::vector<DeviceFacts>& facts() const { return facts_; }
  const DeviceRow& device(Index i) const { return devices_[i]; }
  size_t service_count() const { return service_names_.size(); }
  const std::string& service_name(Index i) const { return service_names_[i]; }
  size_t class_count() const { return class_count_; }
  std::optional<Index> FindDevice(std::string_view id) const;
  std::optional<Index> FindService(std::string_view name) const;

  // Rows over grants by class, and by service: the grants that cover all of its ports.
  const BitRows& grant_from() const { return grant_from_; }
  const BitRows& grant_to() const { return grant_to_; }
  const BitRows& grant_service() const { return grant_service_; }
  // Rows over guardrails; by service: the guardrails that touch any of its ports.
  const BitRows& guardrail_from() const { return guardrail_from_; }
  const BitRows& guardrail_to() const { return guardrail_to_; }
  const BitRows& guardrail_service() const { return guardrail_service_; }

 private:
  friend class Compiler;
  CompiledPolicy() = default;
  RuleSet rules_;
  std::vector<DeviceFacts> facts_;
  std::vector<DeviceRow> devices_;
  std::vector<std::string> service_names_;
  StringMap<Index> device_index_;
  StringMap<Index> service_index_;
  size_t class_count_ = 0;
  BitRows grant_from_, grant_to_, grant_service_;
  BitRows guardrail_from_, guardrail_to_, guardrail_service_;
};

// Compile is deterministic; `facts` have distinct ids (a repeated id keeps its first line).
CompiledPolicy Compile(RuleSet rules, std::vector<DeviceFacts> facts);

}  // namespace sallyport::policy
