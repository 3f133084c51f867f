#include "engine/serve/sqlite_query.h"

#include <sqlite3.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/text/base64.h"

namespace lm::serve {
namespace {

using json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr int kStepsBetweenLooks = 1000;                // of the virtual machine
constexpr int kMostSql = 100000, kMostValue = 4 << 20;  // bytes

struct Closer {
  void operator()(sqlite3* db) const { sqlite3_close(db); }
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, Closer>;
using Statement = std::unique_ptr<sqlite3_stmt, Closer>;

bool is_one_of(const char* name, std::initializer_list<const char*> names) {
  for (const char* one : names)
    if (name != nullptr && sqlite3_stricmp(name, one) == 0) return true;
  return false;
}

// What a statement may do (sqlite3_set_authorizer): read tables, compute, ask for the schema.
int authorize(void*, int action, const char* first, const char* second, const char*, const char*) {
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
      return SQLITE_OK;
    case SQLITE_FUNCTION:
      return is_one_of(second,
                       {"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"})
                 ? SQLITE_DENY
                 : SQLITE_OK;
    case SQLITE_PRAGMA:
      return is_one_of(first, {"table_info", "table_xinfo", "table_list", "index_list",
                               "index_info", "index_xinfo", "foreign_key_list"})
                 ? SQLITE_OK
                 : SQLITE_DENY;
    default:
      return SQLITE_DENY;
  }
}

struct Watch {
  Clock::time_point deadline;
  bool late = false, interrupted = false;
};

int look(void* data) {
  auto* const watch = static_cast<Watch*>(data);
  watch->late = Clock::now() > watch->deadline;
  watch->interrupted = interrupt_pending();
  return watch->late || watch->interrupted;
}

[[noreturn]] void fail(sqlite3* db, const Watch& watch, double seconds) {
  if (watch.interrupted) check_interrupt();
  if (watch.late)
    throw Error(ErrorCode::timeout, fmt::format("the query took more than {} s", seconds));
  const bool denied = sqlite3_errcode(db) == SQLITE_AUTH;
  throw Error(
      denied ? ErrorCode::denied : ErrorCode::bad_option,
      fmt::format("SQLite: {}{}", sqlite3_errmsg(db), denied ? "; only reading is allowed" : ""));
}

void limit(sqlite3* db) {
  for (const auto& [what, most] : {std::pair{SQLITE_LIMIT_LENGTH, kMostValue},
                                   {SQLITE_LIMIT_SQL_LENGTH, kMostSql},
                                   {SQLITE_LIMIT_COLUMN, 1000},
                                   {SQLITE_LIMIT_EXPR_DEPTH, 100},
                                   {SQLITE_LIMIT_COMPOUND_SELECT, 50},
                                   {SQLITE_LIMIT_VDBE_OP, 100000},
                                   {SQLITE_LIMIT_ATTACHED, 0},
                                   {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000},
                                   {SQLITE_LIMIT_TRIGGER_DEPTH, 1},
                                   {SQLITE_LIMIT_WORKER_THREADS, 0}})
    sqlite3_limit(db, what, most);
  sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
}

Database open(const std::string& path) {
  sqlite3* db = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, nullptr);
  Database opened(db);
  LM_CHECK(code == SQLITE_OK, ErrorCode::io, "cannot open the database \"{}\": {}", path,
           db != nullptr ? sqlite3_errmsg(db) : "out of memory");
  limit(db);
  sqlite3_busy_timeout(db, 2000);
  sqlite3_set_authorizer(db, authorize, nullptr);
  return opened;
}

std::string bytes_at(sqlite3_stmt* statement, int column) {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement, column));
  const auto size = static_cast<size_t>(sqlite3_column_bytes(statement, column));
  return bytes != nullptr ? std::string(bytes, size) : std::string();
}

json value_at(sqlite3_stmt* statement, int column) {
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
      return sqlite3_column_int64(statement, column);
    case SQLITE_FLOAT:
      return sqlite3_column_double(statement, column);
    case SQLITE_TEXT:
      return bytes_at(statement, column);
    case SQLITE_BLOB:
      return json{{"base64", encode_base64(bytes_at(statement, column))}};
    default:
      return nullptr;
  }
}

void bind(sqlite3* db, sqlite3_stmt* statement, const std::vector<std::string>& parameters) {
  const int wanted = sqlite3_bind_parameter_count(statement);
  LM_CHECK(static_cast<size_t>(wanted) == parameters.size(), ErrorCode::bad_option,
           "the query has {} parameters, {} values are given", wanted, parameters.size());
  for (int i = 0; i < wanted; ++i) {
    const std::string& text = parameters[static_cast<size_t>(i)];
    const json value = json::parse(text, nullptr, false);
    int code = SQLITE_OK;
    if (value.is_number_integer())
      code = sqlite3_bind_int64(statement, i + 1, value.get<int64_t>());
    else if (value.is_number())
      code = sqlite3_bind_double(statement, i + 1, value.get<double>());
    else if (value.is_boolean())
      code = sqlite3_bind_int64(statement, i + 1, value.get<bool>() ? 1 : 0);
    else if (value.is_null())
      code = sqlite3_bind_null(statement, i + 1);
    else {
      const std::string bound = value.is_string() ? value.get<std::string>() : text;
      code = sqlite3_bind_text64(statement, i + 1, bound.data(), bound.size(), SQLITE_TRANSIENT,
                                 SQLITE_UTF8);
    }
    LM_CHECK(code == SQLITE_OK, ErrorCode::bad_option, "SQLite: {}", sqlite3_errmsg(db));
  }
}

}  // namespace

std::string query_sqlite(const SqliteQuery& q) {
  const Database db = open(q.path);
  Watch watch{Clock::now() + std::chrono::milliseconds(static_cast<int64_t>(q.seconds * 1000))};
  sqlite3_progress_handler(db.get(), kStepsBetweenLooks, look, &watch);
  sqlite3_stmt* raw = nullptr;
  const char* tail = nullptr;
  const int prepared =
      sqlite3_prepare_v2(db.get(), q.sql.data(), static_cast<int>(q.sql.size()), &raw, &tail);
  const Statement statement(raw);
  if (prepared != SQLITE_OK) fail(db.get(), watch, q.seconds);
  LM_CHECK(statement, ErrorCode::bad_option, "there is no statement in the query");
  const std::string_view rest(tail, static_cast<size_t>(q.sql.data() + q.sql.size() - tail));
  LM_CHECK(rest.find_first_not_of(" \t\r\n;") == rest.npos, ErrorCode::bad_option,
           "more than one statement; expected one");
  LM_CHECK(sqlite3_stmt_readonly(statement.get()) != 0, ErrorCode::denied,
           "the statement changes the database; only reading is allowed");
  bind(db.get(), statement.get(), q.parameters);
  json columns = json::array(), rows = json::array();
  const int n_columns = sqlite3_column_count(statement.get());
  for (int c = 0; c < n_columns; ++c) columns.push_back(sqlite3_column_name(statement.get(), c));
  bool truncated = false;
  size_t bytes = 0;
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(statement.get())) == SQLITE_ROW) {
    truncated = rows.size() >= q.max_rows || bytes >= q.max_bytes;
    if (truncated) break;
    json row = json::array();
    for (int c = 0; c < n_columns; ++c) {
      row.push_back(value_at(statement.get(), c));
      bytes += static_cast<size_t>(sqlite3_column_bytes(statement.get(), c)) + 8;
    }
    rows.push_back(std::move(row));
  }
  if (code != SQLITE_ROW && code != SQLITE_DONE) fail(db.get(), watch, q.seconds);
  return json{{"columns", columns}, {"rows", rows}, {"truncated", truncated}}.dump(
      -1, ' ', false, json::error_handler_t::replace);
}

}  // namespace lm::serve
