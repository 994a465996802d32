// Connection is one SQL session with its prepared statements, and the only place that names SOCI
// types. SQL texts must have static storage: they are the keys of the statement cache.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pki/base/bytes.h"
#include "pki/base/result.h"
#include "pki/base/time.h"

namespace sallyport::server {

// Parameter is one bound value: an integer or a text, either of which may be NULL.
class Parameter {
 public:
  template <std::integral T>
  Parameter(T value)
      : is_text_(false),
        integer_(static_cast<int64_t>(value)) {}           // NOLINT(google-explicit-constructor)
  Parameter(UnixTime time) : Parameter(time.ms) {}         // NOLINT(google-explicit-constructor)
  Parameter(std::string text) : text_(std::move(text)) {}  // NOLINT(google-explicit-constructor)
  Parameter(std::string_view text) : text_(text) {}        // NOLINT(google-explicit-constructor)
  Parameter(const char* text) : text_(text) {}             // NOLINT(google-explicit-constructor)
  // A fixed byte string is stored as lower-case hex.
  template <typename Tag, size_t N>
  Parameter(const FixedBytes<Tag, N>& bytes)
      : text_(HexEncode(bytes)) {}  // NOLINT(google-explicit-constructor)
  template <typename T>
  Parameter(const std::optional<T>& value)  // NOLINT(google-explicit-constructor)
      : Parameter(value.has_value() ? Parameter(*value) : Null<T>()) {}

  bool is_text() const { return is_text_; }
  bool is_null() const { return is_null_; }
  int64_t integer() const { return integer_; }
  const std::string& text() const { return text_; }

 private:
  Parameter() = default;
  template <typename T>
  static Parameter Null() {
    Parameter out;
    out.is_null_ = true;
    out.is_text_ = !std::integral<T> && !std::is_same_v<T, UnixTime>;
    return out;
  }
  bool is_text_ = true;
  bool is_null_ = false;
  int64_t integer_ = 0;
  std::string text_;
};

// Row is one result row; columns are read in order of the SELECT. Kinds were fixed by the query.
class Row {
 public:
  struct Cell {
    bool null = false;
    int64_t integer = 0;
    std::string text;
  };
  explicit Row(std::vector<Cell> cells) : cells_(std::move(cells)) {}
  bool IsNull(size_t column) const { return cells_[column].null; }
  int64_t Integer(size_t column) const { return cells_[column].integer; }
  UnixTime Time(size_t column) const { return {cells_[column].integer}; }
  const std::string& Text(size_t column) const { return cells_[column].text; }
  // Fixed reads a hex text; kInternal when the stored text is not N bytes of hex.
  template <typename Fixed>
  Result<Fixed> FixedAt(size_t column) const {
    const Result<Bytes> bytes = HexDecode(Text(column));
    if (!bytes.has_value() || bytes->size() != Fixed::kSize)
      return Error{Reason::kInternal, "stored value is no hex of the right size", "store.corrupt"};
    return Fixed::FromView(*bytes);
  }
  template <typename Fixed>
  Result<std::optional<Fixed>> OptionalAt(size_t column) const {
    if (IsNull(column)) return std::optional<Fixed>();
    SP_TRY(Fixed value, FixedAt<Fixed>(column));
    return std::optional<Fixed>(std::move(value));
  }

 private:
  std::vector<Cell> cells_;
};

enum class ConnectionMode : uint8_t { kWriter, kReader };

// Connection is used by one thread at a time. Errors: kAlreadyExists (unique), kMismatch (check or
// foreign key: "store.constraint"), kNoSpace ("store.full"), kUnavailable (busy, I/O), kInternal.
class Connection {
 public:
  // Open creates the file for a writer; WAL, synchronous=FULL, foreign keys on.
  static Result<std::unique_ptr<Connection>> Open(const std::string& path, ConnectionMode mode);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  // Execute returns the number of rows changed.
  Result<int64_t> Execute(std::string_view sql, std::initializer_list<Parameter> parameters = {});
  Result<int64_t> Execute(std::string_view sql, const std::vector<Parameter>& parameters);
  // Query returns all rows; `columns` has one letter per column: 't' text, 'i' integer.
  Result<std::vector<Row>> Query(std::string_view sql, std::string_view columns,
                                 std::initializer_list<Parameter> parameters = {});
  // QueryOne returns the first row or nullopt.
  Result<std::optional<Row>> QueryOne(std::string_view sql, std::string_view columns,
                                      std::initializer_list<Parameter> parameters = {});
  // RunScript runs several statements, separated by semicolons, outside the cache (migrations).
  Result<Unit> RunScript(const std::string& script);
  // in_transaction is false after the engine has rolled back by itself (full disk).
  bool in_transaction() const;

 private:
  struct State;
  struct Statement;
  explicit Connection(std::unique_ptr<State> state);
  Result<Statement*> Prepare(std::string_view sql, std::string_view columns, const Parameter* first,
                             size_t count);
  Result<int64_t> Run(std::string_view sql, std::string_view columns, const Parameter* first,
                      size_t count, std::vector<Row>* rows);
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::server
