#include "engine/data/dataset.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <unordered_set>

#include "engine/core/crc32.h"
#include "engine/core/error.h"
#include "engine/core/rng.h"
#include "engine/data/row_loader.h"

namespace lm {
namespace fs = std::filesystem;
namespace {

// FNV-1a, 64 bits (Fowler, Noll, Vo).
uint64_t name_hash(std::string_view text) {
  uint64_t h = 0xcbf29ce484222325u;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return h;
}

// Differs where tokenizers encode differently: all tokens, and the tokens of a text that has a bit
// of everything that normalisers and pre-tokenizers look at.
uint32_t tokenizer_hash(const Tokenizer& t) {
  uint32_t crc = crc32(std::as_bytes(std::span(t.kind())));
  const auto add = [&](const auto& values) { crc = crc32(std::as_bytes(std::span(values)), crc); };
  for (int32_t id = 0; id < t.size(); ++id) add(t.token_text(id));
  add(t.eos());
  try {
    for (const bool parse : {false, true})
      add(t.encode(
          "  It's  A1234 caf\u00e9 e\u0301 \ufb01\tx\n\n\u4f60\u597d <|im_end|>\U0001f600 ",
          {.add_special = true, .parse_special = parse}));
  } catch (const Error&) {  // a model without tokenizer: its rows are tokens
  }
  return crc;
}

// Removes what no run has used for a month.
void forget_old_tokens(const std::string& folder) {
  const auto limit = fs::file_time_type::clock::now() - std::chrono::days(30);
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (entry.path().extension() == ".tokens" && entry.last_write_time(ignored) < limit)
      fs::remove(entry.path(), ignored);
}

// Bytes of rows in a file, about: packed ones hold some times their own size. For progress only.
int64_t text_bytes(const std::string& file) {
  const auto size = static_cast<int64_t>(fs::file_size(file));
  return file.ends_with(".gz") ? 3 * size : file.ends_with(".parquet") ? 2 * size : size;
}

class Reader {
 public:
  explicit Reader(const DatasetOptions& o) : o_(o) {
    for (const std::string& path : o.paths) sources_.push_back(data_files(path));
    for (const auto& files : sources_)
      for (const std::string& file : files) total_ += text_bytes(file);
  }

  Dataset read() {
    Dataset out;
    for (size_t i = 0; i < sources_.size(); ++i) {
      const double weight = i < o_.weights.size() ? o_.weights[i] : 1.0;
      out.sources.push_back({o_.paths[i], weight, 0, 0});
      choose(source(sources_[i]), weight, o_.seed + i, &out);
    }
    if (!o_.rows.empty()) {
      out.sources.push_back({"rows", 1.0, 0, 0});
      choose(given_rows(), 1.0, 0, &out);
    }
    if (std::any_of(o_.weights.begin(), o_.weights.end(), [](double w) { return w != 1.0; }))
      out.choice =
          crc32(std::as_bytes(std::span(&o_.seed, 1)), crc32(std::as_bytes(std::span(o_.weights))));
    const ReadCounts& c = out.counts;
    LM_CHECK(c.n_examples > 0, ErrorCode::bad_file, "the data have no rows");
    LM_CHECK(!out.rows.empty(), ErrorCode::bad_file,
             "none of {} rows can be trained on: {} bad, {} without a token to train on, {} too "
             "long{}",
             c.n_examples, c.n_bad, c.n_untrained, c.n_dropped,
             c.problems.empty() ? "" : "; " + c.problems[0]);
    return out;
  }

 private:
  std::shared_ptr<const TokenStore> source(const std::vector<std::string>& files) {
    int64_t bytes = 0;
    for (const std::string& file : files) bytes += text_bytes(file);
    std::string path, key;
    if (!o_.cache.empty() && bytes > o_.cache_above) {
      key = cache_key(files);
      path = fmt::format("{}/{:016x}.tokens", o_.cache, name_hash(key));
      if (auto known = open_token_store(path, key)) {
        done_ += bytes;
        std::error_code ignored;
        fs::last_write_time(path, fs::file_time_type::clock::now(), ignored);
        return known;
      }
      std::error_code failed;
      fs::create_directories(o_.cache, failed);
      LM_CHECK(!failed, ErrorCode::io, "{}: {}", o_.cache, failed.message());
      forget_old_tokens(o_.cache);
    }
    RowLoader loader(o_, std::make_unique<TokenStoreWriter>(path, key));
    for (const std::string& file : files) {
      const int64_t size = text_bytes(file);
      int64_t read = 0;
      read_rows(file, [&](const SourceRow& row) {
        loader.add(row);
        read += static_cast<int64_t>(row.json.size()) + 1;
        tell(file, std::min(read, size));
        return true;
      });
      done_ += size;
    }
    return loader.finish();
  }

  std::shared_ptr<const TokenStore> given_rows() {
    RowLoader loader(o_, std::make_unique<TokenStoreWriter>("", ""));
    int64_t i = 0;
    for (const std::string& row : o_.rows) loader.add({row, "rows", ++i, false});
    return loader.finish();
  }

  // What the tokens of these files depend on.
  std::string cache_key(const std::vector<std::string>& files) {
    const EncodeRules& e = o_.encode;
    std::string key = fmt::format(
        "1 {} {} {} {} {} {} {:08x} {:08x}", o_.format, o_.max_length, o_.too_long, o_.wrapped,
        static_cast<int>(e.train_on), e.add_eos, tokenizer_hash(*e.tokenizer),
        e.chat_template == nullptr ? 0
                                   : crc32(std::as_bytes(std::span(e.chat_template->source()))));
    key += o_.stop_at_bad_rows ? " strict" : "";
    for (const std::string& file : files)
      key += fmt::format("\n{} {} {}", fs::absolute(file).lexically_normal().string(),
                         fs::file_size(file), fs::last_write_time(file).time_since_epoch().count());
    return key;
  }

  void tell(const std::string& file, int64_t bytes) {
    if (!o_.progress || ++calls_ % 1024 != 0) return;
    o_.progress(
        static_cast<double>(done_ + bytes) / static_cast<double>(std::max<int64_t>(1, total_)),
        "tokenising " + file);
  }

  // The rows of a store, as often as its weight says.
  static void choose(std::shared_ptr<const TokenStore> store, double weight, uint64_t seed,
                     Dataset* out) {
    const int64_t n = store->n_rows();
    const size_t before = out->rows.size();
    auto whole = static_cast<int64_t>(weight);
    const auto some = static_cast<int64_t>(
        std::llround((weight - static_cast<double>(whole)) * static_cast<double>(n)));
    for (; whole > 0; --whole)
      for (int64_t i = 0; i < n; ++i) out->rows.push_back(store->row(i));
    if (some > 0) {
      std::vector<int64_t> part = shuffled(n, seed);
      part.resize(static_cast<size_t>(some));
      std::sort(part.begin(), part.end());
      for (const int64_t i : part) out->rows.push_back(store->row(i));
    }
    DataSource& source = out->sources.back();
    source.n_rows = static_cast<int64_t>(out->rows.size() - before);
    for (size_t i = before; i < out->rows.size(); ++i)
      source.n_tokens += static_cast<int64_t>(out->rows[i].ids.size());
    out->counts.add(store->counts());
    out->stores.push_back(std::move(store));
  }

  const DatasetOptions& o_;
  std::vector<std::vector<std::string>> sources_;  // files of each path
  int64_t total_ = 0, done_ = 0, calls_ = 0;
};

}  // namespace

int64_t Dataset::n_tokens() const {
  int64_t n = 0;
  for (const RowView& row : rows) n += static_cast<int64_t>(row.ids.size());
  return n;
}

int64_t Dataset::n_trained() const {
  int64_t n = 0;
  for (const RowView& row : rows) n += row.n_trained;
  return n;
}

uint32_t Dataset::hash() const {
  uint32_t crc = choice;
  const auto add = [&](uint64_t x) { crc = crc32(std::as_bytes(std::span(&x, 1)), crc); };
  for (const auto& store : stores) add(store->hash());
  for (const RowView& row : rows) add(row.ids.size());
  return crc;
}

Dataset load_dataset(const DatasetOptions& options) {
  return Reader(options).read();
}

std::string token_cache_folder() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const std::string base = cache != nullptr && *cache != 0 ? cache
                           : home != nullptr               ? std::string(home) + "/.cache"
                                                           : ".";
  return base + "/lmfast/tokens";
}

std::vector<int64_t> shuffled(int64_t n, uint64_t seed) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  Rng rng(seed);
  for (size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[static_cast<size_t>(rng.uniform() * static_cast<double>(i))]);
  return order;
}

Dataset split_off(Dataset* from, double count, uint64_t seed) {
  const auto n = static_cast<int64_t>(from->rows.size());
  const auto wanted = count < 1 ? static_cast<int64_t>(std::llround(count * static_cast<double>(n)))
                                : static_cast<int64_t>(count);
  LM_CHECK(wanted < n, ErrorCode::bad_option,
           "{} rows are to be put aside for evaluation; there are {}", wanted, n);
  const std::vector<int64_t> order = shuffled(n, seed);
  std::vector<bool> away(static_cast<size_t>(n), false);
  for (int64_t i = n - wanted; i < n; ++i)
    away[static_cast<size_t>(order[static_cast<size_t>(i)])] = true;
  Dataset out;
  out.counts.format = from->counts.format;
  out.stores = from->stores;
  // A row that counts several times must not be on both sides.
  std::unordered_set<const int32_t*> moved;
  for (size_t i = 0; i < from->rows.size(); ++i)
    if (away[i] && moved.insert(from->rows[i].ids.data()).second) out.rows.push_back(from->rows[i]);
  std::vector<RowView> kept;
  for (const RowView& row : from->rows)
    if (!moved.contains(row.ids.data())) kept.push_back(row);
  from->rows = std::move(kept);
  return out;
}

}  // namespace lm
