#include "engine/serve/store.h"

#include <sqlite3.h>

#include <mutex>

#include "engine/core/error.h"

namespace lm::serve {
namespace {

constexpr const char* kSchema = R"(
  create table if not exists object(
    number integer primary key, kind text not null, id text not null unique, body text not null,
    data blob not null);
  create index if not exists object_kind on object(kind, number);
  create table if not exists line(
    batch text not null, number integer not null, failed integer not null, body text not null,
    primary key(batch, number)) without rowid;)";

// A prepared statement, reset when it goes.
class Statement {
 public:
  Statement(sqlite3* db, const char* sql) : db_(db) {
    check(sqlite3_prepare_v2(db, sql, -1, &statement_, nullptr));
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& text(int i, const std::string& value) {
    check(sqlite3_bind_text64(statement_, i, value.data(), value.size(), SQLITE_TRANSIENT,
                              SQLITE_UTF8));
    return *this;
  }
  Statement& blob(int i, const std::string& value) {
    check(sqlite3_bind_blob64(statement_, i, value.empty() ? "" : value.data(), value.size(),
                              SQLITE_TRANSIENT));
    return *this;
  }
  Statement& number(int i, int64_t value) {
    check(sqlite3_bind_int64(statement_, i, value));
    return *this;
  }
  // True: a row is there.
  bool step() {
    const int code = sqlite3_step(statement_);
    if (code != SQLITE_ROW && code != SQLITE_DONE) check(code);
    return code == SQLITE_ROW;
  }
  std::string text_at(int i) const {
    const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, i));
    const int size = sqlite3_column_bytes(statement_, i);
    return bytes ? std::string(bytes, static_cast<size_t>(size)) : std::string();
  }
  int64_t number_at(int i) const { return sqlite3_column_int64(statement_, i); }

 private:
  void check(int code) const {
    LM_CHECK(code == SQLITE_OK, ErrorCode::io, "the server's state: {}", sqlite3_errmsg(db_));
  }
  sqlite3* db_;
  sqlite3_stmt* statement_ = nullptr;
};

}  // namespace

struct Store::Impl {
  sqlite3* db = nullptr;
  mutable std::mutex mutex;
  ~Impl() { sqlite3_close_v2(db); }

  void run(const char* sql) const {
    char* reason = nullptr;
    const int code = sqlite3_exec(db, sql, nullptr, nullptr, &reason);
    const std::string text = reason ? reason : "";
    sqlite3_free(reason);
    LM_CHECK(code == SQLITE_OK, ErrorCode::io, "the server's state: {}", text);
  }
};

Store::Store(const std::string& path) : impl_(std::make_unique<Impl>()) {
  const int code = sqlite3_open(path.empty() ? ":memory:" : path.c_str(), &impl_->db);
  LM_CHECK(code == SQLITE_OK, ErrorCode::io, "the server's state \"{}\": {}", path,
           sqlite3_errmsg(impl_->db));
  sqlite3_busy_timeout(impl_->db, 5000);
  // A write-ahead log that is synced at every commit: what was acknowledged is on the disk.
  impl_->run("pragma journal_mode = wal; pragma synchronous = full;");
  impl_->run(kSchema);
}
Store::~Store() = default;

void Store::put(const std::string& kind, const std::string& id, const std::string& body,
                const std::string& data) {
  const std::lock_guard lock(impl_->mutex);
  Statement(impl_->db, "insert or replace into object(kind, id, body, data) values(?, ?, ?, ?)")
      .text(1, kind)
      .text(2, id)
      .text(3, body)
      .blob(4, data)
      .step();
}

void Store::update(const std::string& kind, const std::string& id, const std::string& body) {
  const std::lock_guard lock(impl_->mutex);
  Statement(impl_->db, "update object set body = ? where kind = ? and id = ?")
      .text(1, body)
      .text(2, kind)
      .text(3, id)
      .step();
}

std::optional<std::string> Store::get(const std::string& kind, const std::string& id) const {
  const std::lock_guard lock(impl_->mutex);
  Statement s(impl_->db, "select body from object where kind = ? and id = ?");
  if (!s.text(1, kind).text(2, id).step()) return std::nullopt;
  return s.text_at(0);
}

std::optional<std::string> Store::data(const std::string& kind, const std::string& id) const {
  const std::lock_guard lock(impl_->mutex);
  Statement s(impl_->db, "select data from object where kind = ? and id = ?");
  if (!s.text(1, kind).text(2, id).step()) return std::nullopt;
  return s.text_at(0);
}

bool Store::erase(const std::string& kind, const std::string& id) {
  const std::lock_guard lock(impl_->mutex);
  Statement(impl_->db, "delete from object where kind = ? and id = ?")
      .text(1, kind)
      .text(2, id)
      .step();
  return sqlite3_changes(impl_->db) > 0;
}

std::vector<std::string> Store::list(const std::string& kind, int64_t most) const {
  const std::lock_guard lock(impl_->mutex);
  Statement s(impl_->db, "select body from object where kind = ? order by number desc limit ?");
  s.text(1, kind).number(2, most);
  std::vector<std::string> all;
  while (s.step()) all.push_back(s.text_at(0));
  return all;
}

void Store::put_line(const std::string& batch, int64_t line, bool failed, const std::string& body) {
  const std::lock_guard lock(impl_->mutex);
  Statement(impl_->db,
            "insert or replace into line(batch, number, failed, body) values(?, ?, ?, ?)")
      .text(1, batch)
      .number(2, line)
      .number(3, failed)
      .text(4, body)
      .step();
}

std::vector<Store::Line> Store::lines(const std::string& batch) const {
  const std::lock_guard lock(impl_->mutex);
  Statement s(impl_->db, "select number, failed, body from line where batch = ? order by number");
  s.text(1, batch);
  std::vector<Line> all;
  while (s.step()) all.push_back({s.number_at(0), s.number_at(1) != 0, s.text_at(2)});
  return all;
}

}  // namespace lm::serve
