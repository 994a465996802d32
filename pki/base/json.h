// Strict JSON: UTF-8, no duplicate keys, integers only (int64), size and depth capped; and the two
// deterministic ways to write it. One tree serves reading, canonical form and typed access, so that
// the object that was verified is the object that is used (docs/protocol.md, "JSON is strict
// everywhere").
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "pki/base/result.h"

namespace sallyport {

struct JsonMember;

// JsonValue is an immutable tree; members are sorted by the bytes of their key. Copies are deep.
// Thread-safe.
class JsonValue {
 public:
  enum class Kind : uint8_t { kNull, kBool, kInteger, kString, kArray, kObject };

  // Defined below, where JsonMember is complete.
  JsonValue();  // null
  JsonValue(const JsonValue&);
  JsonValue(JsonValue&&) noexcept;
  JsonValue& operator=(const JsonValue&);
  JsonValue& operator=(JsonValue&&) noexcept;
  ~JsonValue();
  JsonValue(std::same_as<bool> auto value)
      : JsonValue(Data(value)) {}     // NOLINT(google-explicit-constructor)
  JsonValue(std::string value);       // NOLINT(google-explicit-constructor)
  JsonValue(std::string_view value);  // NOLINT(google-explicit-constructor)
  JsonValue(const char* value);       // NOLINT(google-explicit-constructor)
  // Aborts on an unsigned value above INT64_MAX: the writer bounds its numbers.
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  JsonValue(T value)
      : JsonValue(Data(static_cast<int64_t>(value))) {  // NOLINT(google-explicit-constructor)
    SP_CHECK(std::in_range<int64_t>(value));
  }
  static JsonValue Array(std::vector<JsonValue> elements);
  static JsonValue Strings(const std::vector<std::string>& elements);
  // Object sorts its members; aborts when a key occurs twice.
  static JsonValue Object(std::vector<JsonMember> members);

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  // Null unless the value has that kind; borrowed from the value.
  const bool* if_bool() const { return std::get_if<1>(&data_); }
  const int64_t* if_integer() const { return std::get_if<2>(&data_); }
  const std::string* if_string() const { return std::get_if<3>(&data_); }
  const std::vector<JsonValue>* if_array() const { return std::get_if<4>(&data_); }
  const std::vector<JsonMember>* if_object() const { return std::get_if<5>(&data_); }
  // Find returns null when the value is no object or has no such key.
  const JsonValue* Find(std::string_view key) const;

 private:
  friend class JsonParser;
  using Data = std::variant<std::monostate, bool, int64_t, std::string, std::vector<JsonValue>,
                            std::vector<JsonMember>>;
  explicit JsonValue(Data data);
  Data data_;
};

struct JsonMember {
  std::string key;
  JsonValue value;
};

inline JsonValue::JsonValue() = default;
inline JsonValue::JsonValue(const JsonValue&) = default;
inline JsonValue::JsonValue(JsonValue&&) noexcept = default;
inline JsonValue& JsonValue::operator=(const JsonValue&) = default;
inline JsonValue& JsonValue::operator=(JsonValue&&) noexcept = default;
inline JsonValue::~JsonValue() = default;
inline JsonValue::JsonValue(Data data) : data_(std::move(data)) {}
inline JsonValue::JsonValue(std::string value) : data_(std::move(value)) {}
inline JsonValue::JsonValue(std::string_view value) : data_(std::string(value)) {}
inline JsonValue::JsonValue(const char* value) : data_(std::string(value)) {}

struct JsonLimits {
  size_t size_max = 1 << 20;
  size_t depth_max = 32;
};

// ParseJson reads exactly one value. Errors carry `line L, column C (offset O)` and one of the
// rules json.size, json.depth (kTooLarge), json.syntax, json.utf8, json.control-character,
// json.number, json.duplicate-key, json.trailing-bytes (kMalformed). Pure.
Result<JsonValue> ParseJson(std::string_view text, JsonLimits limits = {});

// CanonicalJson is OLPC canonical JSON: sorted keys, no white space, only `"` and `\` escaped.
// These are the bytes TUF signs. With control characters in strings it is not itself JSON.
std::string CanonicalJson(const JsonValue& value);
// WriteJson is CanonicalJson with control characters escaped, so that every reader takes it.
std::string WriteJson(const JsonValue& value);

// JsonCursor borrows a value and knows where it stands, for errors such as `$.signed.version:
// expected an integer`. Rules: json.type, json.missing-key, json.unknown-key, json.range (all
// kMalformed).
class JsonCursor {
 public:
  explicit JsonCursor(const JsonValue& value, std::string path = "$")
      : value_(&value), path_(std::move(path)) {}

  const JsonValue& value() const { return *value_; }
  const std::string& path() const { return path_; }

  // The value itself, when it has that type. String borrows.
  Result<std::string_view> String() const;
  Result<int64_t> Integer(int64_t min = std::numeric_limits<int64_t>::min(),
                          int64_t max = std::numeric_limits<int64_t>::max()) const;
  struct Flag {
    bool value;
  };
  Result<Flag> Bool() const;
  Result<std::vector<JsonCursor>> Elements() const;
  Result<std::vector<std::string>> Strings() const;
  // Entries are an object's members in key order; keys borrow.
  Result<std::vector<std::pair<std::string_view, JsonCursor>>> Entries() const;

  // Member requires an object with `key`; Find says nullopt when it is absent (or this is no
  // object).
  Result<JsonCursor> Member(std::string_view key) const;
  std::optional<JsonCursor> Find(std::string_view key) const;
  // OnlyKeys refuses members that are not in `keys`.
  Result<Unit> OnlyKeys(std::initializer_list<std::string_view> keys) const;

  // Shortcuts for Member(key)->Type().
  Result<std::string_view> GetString(std::string_view key) const;
  Result<int64_t> GetInteger(std::string_view key,
                             int64_t min = std::numeric_limits<int64_t>::min(),
                             int64_t max = std::numeric_limits<int64_t>::max()) const;
  Result<Flag> GetBool(std::string_view key) const;
  Result<std::vector<JsonCursor>> GetElements(std::string_view key) const;
  Result<std::vector<std::string>> GetStrings(std::string_view key) const;

  // Refuse makes a kMalformed error about this value.
  Error Refuse(std::string_view why, std::string_view rule = "json.type") const;

 private:
  const JsonValue* value_;
  std::string path_;
};

}  // namespace sallyport
