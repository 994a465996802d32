#include "attestation-server/store/connection.h"

#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <deque>

#include "attestation-server/store/limits.h"

namespace sallyport::server {

// SOCI declares the SQLite C API inside this namespace.
using namespace sqlite_api;  // NOLINT(google-build-using-namespace)

namespace {

// Slot is the memory that SOCI binds to; its address is fixed for the life of a statement.
struct Slot {
  bool is_text = true;
  soci::indicator indicator = soci::i_ok;
  long long integer = 0;
  std::string text;
};

// Translate maps SQLite's result code. The message has no parameters in it (they may name a
// device).
Error Translate(const soci::soci_error& error, sqlite3* db) {
  const int code = db != nullptr ? sqlite3_extended_errcode(db) : SQLITE_ERROR;
  std::string detail = error.get_error_message();
  switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
      if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY)
        return Error{Reason::kAlreadyExists, std::move(detail), "store.unique"};
      return Error{Reason::kMismatch, std::move(detail), "store.constraint"};
    case SQLITE_FULL: return Error{Reason::kNoSpace, std::move(detail), "store.full"};
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return Error{Reason::kUnavailable, std::move(detail), "store.busy"};
    case SQLITE_IOERR: return Error{Reason::kUnavailable, std::move(detail), "store.io"};
    case SQLITE_CANTOPEN: return Error{Reason::kUnavailable, std::move(detail), "store.open"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return Error{Reason::kInternal, std::move(detail), "store.corrupt"};
    default: return Error{Reason::kInternal, std::move(detail), "store.sql"};
  }
}

// SOCI does not export the type information of its backends, which the vptr sanitizer would need
// here.
__attribute__((no_sanitize("vptr"))) sqlite3* HandleOf(soci::session& session) {
  return static_cast<soci::sqlite3_session_backend*>(session.get_backend())->conn_;
}

// ConfigureEngine must precede the engine's first use. SQLite keeps the list of each
// CHECK (x IN (...)) in a temporary b-tree and gives every one of them 20 pages in advance, so that
// writing a device record spent more on fresh memory than on the row.
void ConfigureEngine() {
  static const int configured = sqlite3_config(SQLITE_CONFIG_PAGECACHE, nullptr, 0, 0);
  SP_CHECK(configured == SQLITE_OK || configured == SQLITE_MISUSE);  // MISUSE: in use already
}

}  // namespace

struct Connection::Statement {
  explicit Statement(soci::session& session) : statement(session) {}
  soci::statement statement;
  std::deque<Slot> parameters;
  std::deque<Slot> columns;
};

struct Connection::State {
  soci::session session;
  sqlite3* db = nullptr;
  // Keyed by the address of the SQL text: literals have static storage.
  std::unordered_map<const char*, std::unique_ptr<Statement>> statements;
};

Connection::Connection(std::unique_ptr<State> state) : state_(std::move(state)) {}
Connection::~Connection() = default;

Result<std::unique_ptr<Connection>> Connection::Open(const std::string& path, ConnectionMode mode) {
  ConfigureEngine();
  auto state = std::make_unique<State>();
  try {
    const std::string options =
        "db=\"" + path + "\" timeout=" + std::to_string(kBusyTimeoutSeconds);
    if (path.find('"') != std::string::npos)
      return Error{Reason::kInvalidArgument, "a quote in the database path", "store.path"};
    state->session.open(soci::sqlite3, options);
    state->db = HandleOf(state->session);
    state->session.once << "PRAGMA journal_mode=WAL";
    state->session.once << "PRAGMA synchronous=FULL";
    state->session.once << "PRAGMA foreign_keys=ON";
    // The journals of savepoints would be files, made and removed with each batch of units.
    state->session.once << "PRAGMA temp_store=MEMORY";
    if (mode == ConnectionMode::kReader) state->session.once << "PRAGMA query_only=ON";
  } catch (const soci::soci_error& error) {
    return Translate(error, state->db).WithContext(path);
  }
  return std::unique_ptr<Connection>(new Connection(std::move(state)));
}

Result<Connection::Statement*> Connection::Prepare(std::string_view sql, std::string_view columns,
                                                   const Parameter* first, size_t count) {
  const auto found = state_->statements.find(sql.data());
  if (found != state_->statements.end()) return found->second.get();
  auto prepared = std::make_unique<Statement>(state_->session);
  prepared->statement.alloc();
  prepared->statement.prepare(std::string(sql));
  for (size_t i = 0; i < count; ++i) {
    Slot& slot = prepared->parameters.emplace_back();
    slot.is_text = first[i].is_text();
    if (slot.is_text)
      prepared->statement.exchange(soci::use(slot.text, slot.indicator));
    else
      prepared->statement.exchange(soci::use(slot.integer, slot.indicator));
  }
  for (const char kind : columns) {
    SP_CHECK(kind == 't' || kind == 'i');
    Slot& slot = prepared->columns.emplace_back();
    slot.is_text = kind == 't';
    if (slot.is_text)
      prepared->statement.exchange(soci::into(slot.text, slot.indicator));
    else
      prepared->statement.exchange(soci::into(slot.integer, slot.indicator));
  }
  prepared->statement.define_and_bind();
  return state_->statements.emplace(sql.data(), std::move(prepared)).first->second.get();
}

Result<int64_t> Connection::Run(std::string_view sql, std::string_view columns,
                                const Parameter* first, size_t count, std::vector<Row>* rows) {
  try {
    SP_TRY(Statement* const prepared, Prepare(sql, columns, first, count));
    SP_CHECK(prepared->parameters.size() == count);
    for (size_t i = 0; i < count; ++i) {
      Slot& slot = prepared->parameters[i];
      SP_CHECK(slot.is_text == first[i].is_text());
      slot.indicator = first[i].is_null() ? soci::i_null : soci::i_ok;
      slot.integer = first[i].integer();
      slot.text = first[i].text();
    }
    bool more = prepared->statement.execute(true);
    // Fetching to the end lets the engine drop its read lock.
    while (more && rows != nullptr) {
      std::vector<Row::Cell> cells;
      cells.reserve(prepared->columns.size());
      for (const Slot& slot : prepared->columns) {
        const bool null = slot.indicator == soci::i_null;
        cells.push_back({null, null ? 0 : slot.integer, null ? std::string() : slot.text});
      }
      rows->emplace_back(std::move(cells));
      more = prepared->statement.fetch();
    }
    return rows != nullptr ? 0 : static_cast<int64_t>(prepared->statement.get_affected_rows());
  } catch (const soci::soci_error& error) {
    Error translated = Translate(error, state_->db);
    state_->statements.erase(sql.data());  // SOCI finalises a statement that failed
    return translated;
  }
}

Result<int64_t> Connection::Execute(std::string_view sql,
                                    std::initializer_list<Parameter> parameters) {
  return Run(sql, "", parameters.begin(), parameters.size(), nullptr);
}

Result<int64_t> Connection::Execute(std::string_view sql,
                                    const std::vector<Parameter>& parameters) {
  return Run(sql, "", parameters.data(), parameters.size(), nullptr);
}

Result<std::vector<Row>> Connection::Query(std::string_view sql, std::string_view columns,
                                           std::initializer_list<Parameter> parameters) {
  std::vector<Row> rows;
  SP_TRY(Run(sql, columns, parameters.begin(), parameters.size(), &rows));
  return rows;
}

Result<std::optional<Row>> Connection::QueryOne(std::string_view sql, std::string_view columns,
                                                std::initializer_list<Parameter> parameters) {
  std::vector<Row> rows;
  SP_TRY(Run(sql, columns, parameters.begin(), parameters.size(), &rows));
  if (rows.empty()) return std::optional<Row>();
  return std::optional<Row>(std::move(rows.front()));
}

Result<Unit> Connection::RunScript(const std::string& script) {
  if (sqlite3_exec(state_->db, script.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
    return Translate(soci::soci_error(sqlite3_errmsg(state_->db)), state_->db);
  return Unit{};
}

bool Connection::in_transaction() const { return sqlite3_get_autocommit(state_->db) == 0; }

}  // namespace sallyport::server
