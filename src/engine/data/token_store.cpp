#include "engine/data/token_store.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"

namespace lm {
namespace {

// At the file's end: where table and summary are, and what everything must add up to.
struct Tail {
  uint64_t table = 0, n_rows = 0, summary = 0, summary_bytes = 0;
  uint32_t rows_crc = 0, rest_crc = 0;
  char magic[8] = {'L', 'M', 'T', 'O', 'K', 'E', 'N', '1'};
};
static_assert(sizeof(Tail) == 48);

// zlib's is many times faster than core/crc32.h, which matters for gigabytes.
uint32_t crc_of(std::span<const std::byte> bytes, uint32_t crc) {
  return static_cast<uint32_t>(
      ::crc32_z(crc, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

std::string summary_json(const ReadCounts& c, const std::string& key) {
  const nlohmann::json j = {{"key", key},         {"n_examples", c.n_examples},
                            {"n_bad", c.n_bad},   {"n_untrained", c.n_untrained},
                            {"n_cut", c.n_cut},   {"n_dropped", c.n_dropped},
                            {"format", c.format}, {"problems", c.problems}};
  return j.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

ReadCounts counts_of(const nlohmann::json& j) {
  ReadCounts c;
  c.n_examples = j.at("n_examples");
  c.n_bad = j.at("n_bad");
  c.n_untrained = j.at("n_untrained");
  c.n_cut = j.at("n_cut");
  c.n_dropped = j.at("n_dropped");
  c.format = j.at("format");
  c.problems = j.at("problems").get<std::vector<std::string>>();
  return c;
}

}  // namespace

void ReadCounts::add(const ReadCounts& other) {
  n_examples += other.n_examples;
  n_bad += other.n_bad;
  n_untrained += other.n_untrained;
  n_cut += other.n_cut;
  n_dropped += other.n_dropped;
  if (format.empty()) format = other.format;
  constexpr size_t kProblems = 10;
  for (const std::string& p : other.problems)
    if (problems.size() < kProblems) problems.push_back(p);
}

RowView TokenStore::row(int64_t i) const {
  const Entry& e = table_[static_cast<size_t>(i)];
  const std::byte* at = bytes().data() + e.offset;
  return {{reinterpret_cast<const int32_t*>(at), e.n},
          {reinterpret_cast<const uint8_t*>(at + size_t{4} * e.n), e.n},
          e.n_trained};
}

TokenStoreWriter::TokenStoreWriter(const std::string& path, std::string key)
    : key_(std::move(key)), store_(std::make_shared<TokenStore>()) {
  if (!path.empty()) file_ = std::make_unique<OutputFile>(path);
}

void TokenStoreWriter::put(std::span<const std::byte> bytes) {
  size_ += bytes.size();
  if (file_) return file_->write(bytes);
  store_->memory_.insert(store_->memory_.end(), bytes.begin(), bytes.end());
}

void TokenStoreWriter::add(const RowView& row) {
  static constexpr std::byte kZeros[4] = {};
  const auto ids = std::as_bytes(row.ids), marks = std::as_bytes(row.trained);
  store_->table_.push_back(
      {size_, static_cast<uint32_t>(row.ids.size()), static_cast<uint32_t>(row.n_trained)});
  store_->hash_ = crc_of(marks, crc_of(ids, store_->hash_));
  put(ids);
  put(marks);
  put(std::span(kZeros).first((4 - size_ % 4) % 4));
}

std::shared_ptr<const TokenStore> TokenStoreWriter::finish(ReadCounts counts) {
  store_->counts_ = std::move(counts);
  if (!file_) return store_;
  const std::string summary = summary_json(store_->counts_, key_);
  const auto table = std::as_bytes(std::span(store_->table_));
  Tail tail;
  tail.table = size_ + (8 - size_ % 8) % 8;
  file_->write_zeros(tail.table - size_);
  tail.n_rows = store_->table_.size();
  tail.summary = tail.table + table.size();
  tail.summary_bytes = summary.size();
  tail.rows_crc = store_->hash_;
  tail.rest_crc = crc_of(std::as_bytes(std::span(summary)), crc_of(table, 0));
  file_->write(table);
  file_->write(summary);
  file_->write(std::as_bytes(std::span(&tail, 1)));
  file_->commit();
  store_->file_ = MappedFile(file_->path());
  return store_;
}

std::shared_ptr<const TokenStore> open_token_store(const std::string& path, std::string_view key) {
  if (!std::filesystem::exists(path)) return nullptr;
  auto store = std::make_shared<TokenStore>();
  store->file_ = MappedFile(path);
  const auto bytes = store->file_.bytes();
  Tail tail;
  if (bytes.size() < sizeof(tail)) return nullptr;
  const Tail expected;
  std::memcpy(&tail, bytes.data() + bytes.size() - sizeof(tail), sizeof(tail));
  const uint64_t end = bytes.size() - sizeof(tail);
  using Entry = TokenStore::Entry;
  if (std::memcmp(tail.magic, expected.magic, sizeof(tail.magic)) != 0 || tail.table > end ||
      tail.n_rows > (end - tail.table) / sizeof(Entry) ||
      tail.summary != tail.table + tail.n_rows * sizeof(Entry) ||
      tail.summary_bytes != end - tail.summary)
    return nullptr;
  const auto rest = bytes.subspan(tail.table, end - tail.table);
  if (crc_of(rest, 0) != tail.rest_crc) return nullptr;
  store->table_.resize(tail.n_rows);
  std::memcpy(store->table_.data(), rest.data(), tail.n_rows * sizeof(Entry));
  for (const Entry& e : store->table_)
    if (e.offset % 4 != 0 || e.offset > tail.table || uint64_t{5} * e.n > tail.table - e.offset)
      return nullptr;
  const auto j = nlohmann::json::parse(
      std::string_view(reinterpret_cast<const char*>(bytes.data() + tail.summary),
                       tail.summary_bytes),
      nullptr, false);
  if (!j.is_object() || j.value("key", "") != key) return nullptr;
  store->counts_ = counts_of(j);
  store->hash_ = tail.rows_crc;
  return store;
}

}  // namespace lm
