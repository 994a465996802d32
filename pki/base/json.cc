#include "pki/base/json.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace sallyport {

JsonValue JsonValue::Array(std::vector<JsonValue> elements) {
  JsonValue out;
  out.data_ = std::move(elements);
  return out;
}

JsonValue JsonValue::Strings(const std::vector<std::string>& elements) {
  return Array({elements.begin(), elements.end()});
}

JsonValue JsonValue::Object(std::vector<JsonMember> members) {
  std::ranges::sort(members, {}, &JsonMember::key);
  SP_CHECK(std::ranges::adjacent_find(members, {}, &JsonMember::key) == members.end());
  JsonValue out;
  out.data_ = std::move(members);
  return out;
}

const JsonValue* JsonValue::Find(std::string_view key) const {
  const auto* members = if_object();
  if (members == nullptr) return nullptr;
  const auto at = std::ranges::lower_bound(*members, key, {}, &JsonMember::key);
  return at != members->end() && at->key == key ? &at->value : nullptr;
}

// JsonParser is recursive descent; depth is capped before it recurses.
class JsonParser {
 public:
  JsonParser(std::string_view text, JsonLimits limits) : text_(text), limits_(limits) {}

  Result<JsonValue> Document() {
    if (text_.size() > limits_.size_max) {
      const std::string what = std::to_string(text_.size()) + " bytes of JSON";
      return Error{Reason::kTooLarge, what + ", at most " + std::to_string(limits_.size_max),
                   "json.size"};
    }
    SP_TRY(JsonValue value, Value(0));
    SkipSpace();
    if (at_ != text_.size()) return Fail("bytes after the value", "json.trailing-bytes");
    return value;
  }

 private:
  Error Fail(std::string_view why, std::string_view rule = "json.syntax",
             Reason reason = Reason::kMalformed) const {
    const std::string_view before = text_.substr(0, at_);
    const auto line = 1 + std::ranges::count(before, '\n');
    const size_t newline = before.rfind('\n');
    const size_t column = newline == std::string_view::npos ? at_ + 1 : at_ - newline;
    return Error{reason,
                 "line " + std::to_string(line) + ", column " + std::to_string(column) +
                     " (offset " + std::to_string(at_) + "): " + std::string(why),
                 rule};
  }
  bool AtEnd() const { return at_ == text_.size(); }
  char Peek() const { return AtEnd() ? '\0' : text_[at_]; }
  bool Accept(char c) {
    if (AtEnd() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void SkipSpace() {
    while (!AtEnd() && (Peek() == ' ' || Peek() == '\t' || Peek() == '\n' || Peek() == '\r')) ++at_;
  }

  Result<JsonValue> Value(size_t depth) {
    if (depth > limits_.depth_max)
      return Fail("nested too deeply", "json.depth", Reason::kTooLarge);
    SkipSpace();
    if (AtEnd()) return Fail("input ends where a value is expected");
    switch (Peek()) {
      case '{': return Object(depth);
      case '[': return Array(depth);
      case '"': {
        SP_TRY(std::string text, String());
        return JsonValue(std::move(text));
      }
      case 't': return Word("true", JsonValue(true));
      case 'f': return Word("false", JsonValue(false));
      case 'n': return Word("null", JsonValue());
      default: return Integer();
    }
  }

  Result<JsonValue> Word(std::string_view word, JsonValue value) {
    if (text_.substr(at_, word.size()) != word) return Fail("expected a value");
    at_ += word.size();
    return value;
  }

  Result<JsonValue> Integer() {
    const size_t start = at_;
    const bool negative = Accept('-');
    const size_t digits = at_;
    while (!AtEnd() && Peek() >= '0' && Peek() <= '9') ++at_;
    if (at_ == digits) return Fail("expected a value");
    if (text_[digits] == '0' && (at_ - digits > 1 || negative))
      return Fail("leading or negative zero", "json.number");
    if (Peek() == '.' || Peek() == 'e' || Peek() == 'E')
      return Fail("only integers are accepted", "json.number");
    int64_t value = 0;
    const auto end = std::from_chars(text_.data() + start, text_.data() + at_, value);
    if (end.ec != std::errc()) return Fail("integer out of range", "json.number");
    return JsonValue(value);
  }

  Result<JsonValue> Array(size_t depth) {
    ++at_;
    std::vector<JsonValue> elements;
    SkipSpace();
    if (Accept(']')) return JsonValue::Array(std::move(elements));
    while (true) {
      SP_TRY(JsonValue value, Value(depth + 1));
      elements.push_back(std::move(value));
      SkipSpace();
      if (Accept(']')) return JsonValue::Array(std::move(elements));
      if (!Accept(',')) return Fail("expected ',' or ']'");
    }
  }

  Result<JsonValue> Object(size_t depth) {
    ++at_;
    std::vector<JsonMember> members;
    SkipSpace();
    if (Accept('}')) return Sorted(std::move(members));
    while (true) {
      SkipSpace();
      if (Peek() != '"') return Fail("expected a key");
      SP_TRY(std::string key, String());
      SkipSpace();
      if (!Accept(':')) return Fail("expected ':'");
      SP_TRY(JsonValue value, Value(depth + 1));
      members.push_back({std::move(key), std::move(value)});
      SkipSpace();
      if (Accept('}')) return Sorted(std::move(members));
      if (!Accept(',')) return Fail("expected ',' or '}'");
    }
  }

  Result<JsonValue> Sorted(std::vector<JsonMember> members) {
    std::ranges::sort(members, {}, &JsonMember::key);
    const auto twice = std::ranges::adjacent_find(members, {}, &JsonMember::key);
    if (twice != members.end())
      return Fail("key '" + twice->key + "' occurs twice", "json.duplicate-key");
    JsonValue out;
    out.data_ = std::move(members);
    return out;
  }

  Result<std::string> String() {
    ++at_;
    std::string out;
    while (!AtEnd()) {
      const auto c = static_cast<unsigned char>(Peek());
      if (Accept('"')) return out;
      if (c < 0x20) return Fail("control character in a string", "json.control-character");
      if (c == '\\') {
        SP_TRY(Escape(out));
      } else {
        SP_TRY(const size_t size, Utf8Size());
        out.append(text_.substr(at_, size));
        at_ += size;
      }
    }
    return Fail("input ends inside a string");
  }

  // Utf8Size checks one well-formed code point (RFC 3629: no overlong form, no surrogate, <=
  // U+10FFFF).
  Result<size_t> Utf8Size() const {
    const auto byte = [&](size_t i) {
      return at_ + i < text_.size() ? static_cast<unsigned char>(text_[at_ + i]) : 0U;
    };
    const unsigned lead = byte(0);
    if (lead < 0x80) return size_t{1};
    const size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    const unsigned low = lead == 0xE0 ? 0xA0U : lead == 0xF0 ? 0x90U : 0x80U;
    const unsigned high = lead == 0xED ? 0x9FU : lead == 0xF4 ? 0x8FU : 0xBFU;
    bool good = lead >= 0xC2 && lead <= 0xF4 && byte(1) >= low && byte(1) <= high;
    for (size_t i = 2; i < size; ++i) good = good && byte(i) >= 0x80 && byte(i) <= 0xBF;
    if (!good) return Fail("not UTF-8", "json.utf8");
    return size;
  }

  Result<Unit> Escape(std::string& out) {
    static constexpr std::string_view kNames = "\"\\/bfnrt";
    static constexpr std::string_view kValues = "\"\\/\b\f\n\r\t";
    ++at_;
    if (Accept('u')) return UnicodeEscape(out);
    const size_t index = AtEnd() ? std::string_view::npos : kNames.find(Peek());
    if (index == std::string_view::npos) return Fail("unknown escape");
    out.push_back(kValues[index]);
    ++at_;
    return Ok();
  }

  Result<uint32_t> Hex4() {
    uint32_t value = 0;
    const std::string_view digits = text_.substr(at_, 4);
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() != 4 || end.ptr != digits.data() + 4) return Fail("expected four hex digits");
    at_ += 4;
    return value;
  }

  Result<Unit> UnicodeEscape(std::string& out) {
    SP_TRY(uint32_t code, Hex4());
    if (code >= 0xD800 && code < 0xDC00) {
      if (!Accept('\\') || !Accept('u')) return Fail("lone surrogate", "json.utf8");
      SP_TRY(const uint32_t low, Hex4());
      if (low < 0xDC00 || low > 0xDFFF) return Fail("lone surrogate", "json.utf8");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code <= 0xDFFF) {
      return Fail("lone surrogate", "json.utf8");
    }
    AppendUtf8(code, out);
    return Ok();
  }

  static void AppendUtf8(uint32_t code, std::string& out) {
    const auto tail = [&](int shift) {
      out.push_back(static_cast<char>(0x80 | ((code >> shift) & 0x3F)));
    };
    if (code < 0x80) {
      out.push_back(static_cast<char>(code));
    } else if (code < 0x800) {
      out.push_back(static_cast<char>(0xC0 | (code >> 6)));
      tail(0);
    } else if (code < 0x10000) {
      out.push_back(static_cast<char>(0xE0 | (code >> 12)));
      tail(6), tail(0);
    } else {
      out.push_back(static_cast<char>(0xF0 | (code >> 18)));
      tail(12), tail(6), tail(0);
    }
  }

  std::string_view text_;
  JsonLimits limits_;
  size_t at_ = 0;
};

Result<JsonValue> ParseJson(std::string_view text, JsonLimits limits) {
  return JsonParser(text, limits).Document();
}

namespace {

void WriteString(std::string_view text, bool escape_controls, std::string& out) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  out.push_back('"');
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (escape_controls && byte < 0x20) {
      out.append("\\u00").push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

void Write(const JsonValue& value, bool escape_controls, std::string& out) {
  switch (value.kind()) {
    case JsonValue::Kind::kNull: out.append("null"); return;
    case JsonValue::Kind::kBool: out.append(*value.if_bool() ? "true" : "false"); return;
    case JsonValue::Kind::kInteger: out.append(std::to_string(*value.if_integer())); return;
    case JsonValue::Kind::kString: WriteString(*value.if_string(), escape_controls, out); return;
    case JsonValue::Kind::kArray: {
      char separator = '[';
      if (value.if_array()->empty()) out.push_back('[');
      for (const JsonValue& element : *value.if_array()) {
        out.push_back(std::exchange(separator, ','));
        Write(element, escape_controls, out);
      }
      out.push_back(']');
      return;
    }
    case JsonValue::Kind::kObject: {
      char separator = '{';
      if (value.if_object()->empty()) out.push_back('{');
      for (const JsonMember& member : *value.if_object()) {
        out.push_back(std::exchange(separator, ','));
        WriteString(member.key, escape_controls, out);
        out.push_back(':');
        Write(member.value, escape_controls, out);
      }
      out.push_back('}');
      return;
    }
  }
}

}  // namespace

std::string CanonicalJson(const JsonValue& value) {
  std::string out;
  Write(value, false, out);
  return out;
}

std::string WriteJson(const JsonValue& value) {
  std::string out;
  Write(value, true, out);
  return out;
}

Error JsonCursor::Refuse(std::string_view why, std::string_view rule) const {
  return Error{Reason::kMalformed, path_ + ": " + std::string(why), rule};
}

Result<std::string_view> JsonCursor::String() const {
  if (const std::string* text = value_->if_string()) return std::string_view(*text);
  return Refuse("expected a string");
}

Result<int64_t> JsonCursor::Integer(int64_t min, int64_t max) const {
  const int64_t* number = value_->if_integer();
  if (number == nullptr) return Refuse("expected an integer");
  if (*number < min || *number > max)
    return Refuse("expected " + std::to_string(min) + ".." + std::to_string(max), "json.range");
  return *number;
}

Result<JsonCursor::Flag> JsonCursor::Bool() const {
  if (const bool* flag = value_->if_bool()) return Flag{*flag};
  return Refuse("expected true or false");
}

Result<std::vector<JsonCursor>> JsonCursor::Elements() const {
  const auto* elements = value_->if_array();
  if (elements == nullptr) return Refuse("expected an array");
  std::vector<JsonCursor> out;
  out.reserve(elements->size());
  for (size_t i = 0; i < elements->size(); ++i)
    out.emplace_back((*elements)[i], path_ + "[" + std::to_string(i) + "]");
  return out;
}

Result<std::vector<std::string>> JsonCursor::Strings() const {
  SP_TRY(const auto elements, Elements());
  std::vector<std::string> out;
  for (const JsonCursor& element : elements) {
    SP_TRY(const std::string_view text, element.String());
    out.emplace_back(text);
  }
  return out;
}

Result<std::vector<std::pair<std::string_view, JsonCursor>>> JsonCursor::Entries() const {
  const auto* members = value_->if_object();
  if (members == nullptr) return Refuse("expected an object");
  std::vector<std::pair<std::string_view, JsonCursor>> out;
  out.reserve(members->size());
  for (const JsonMember& member : *members)
    out.emplace_back(member.key, JsonCursor(member.value, path_ + "." + member.key));
  return out;
}

Result<JsonCursor> JsonCursor::Member(std::string_view key) const {
  if (value_->if_object() == nullptr) return Refuse("expected an object");
  const JsonValue* member = value_->Find(key);
  if (member == nullptr) return Refuse("'" + std::string(key) + "' is missing", "json.missing-key");
  return JsonCursor(*member, path_ + "." + std::string(key));
}

std::optional<JsonCursor> JsonCursor::Find(std::string_view key) const {
  const JsonValue* member = value_->Find(key);
  if (member == nullptr) return std::nullopt;
  return JsonCursor(*member, path_ + "." + std::string(key));
}

Result<Unit> JsonCursor::OnlyKeys(std::initializer_list<std::string_view> keys) const {
  const auto* members = value_->if_object();
  if (members == nullptr) return Refuse("expected an object");
  for (const JsonMember& member : *members) {
    if (std::ranges::find(keys, std::string_view(member.key)) == keys.end())
      return Refuse("unknown key '" + member.key + "'", "json.unknown-key");
  }
  return Ok();
}

Result<std::string_view> JsonCursor::GetString(std::string_view key) const {
  SP_TRY(const JsonCursor member, Member(key));
  return member.String();
}

Result<int64_t> JsonCursor::GetInteger(std::string_view key, int64_t min, int64_t max) const {
  SP_TRY(const JsonCursor member, Member(key));
  return member.Integer(min, max);
}

Result<JsonCursor::Flag> JsonCursor::GetBool(std::string_view key) const {
  SP_TRY(const JsonCursor member, Member(key));
  return member.Bool();
}

Result<std::vector<JsonCursor>> JsonCursor::GetElements(std::string_view key) const {
  SP_TRY(const JsonCursor member, Member(key));
  return member.Elements();
}

Result<std::vector<std::string>> JsonCursor::GetStrings(std::string_view key) const {
  SP_TRY(const JsonCursor member, Member(key));
  return member.Strings();
}

}  // namespace sallyport
