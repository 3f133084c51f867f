#include "engine/data/dataset.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

#include "engine/core/crc32.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/core/rng.h"
#include "engine/core/thread_pool.h"
#include "engine/data/row_reader.h"

namespace lm {
namespace {

constexpr size_t kChunk = 512;    // rows that are encoded together
constexpr size_t kProblems = 10;  // that are kept word by word

// What became of one row.
struct Outcome {
  std::optional<TokenRow> row;
  std::string problem;
};

class Loader {
 public:
  explicit Loader(const DatasetOptions& o) : o_(o) {
    for (const DataFormat& f : data_formats())
      if (o.format == f.name) format_ = &f;
    LM_CHECK(format_ != nullptr || o.format == "auto", ErrorCode::bad_option,
             "format is \"{}\"; expected \"auto\" or a known format", o.format);
  }

  void add(const SourceRow& row) {
    waiting_.push_back(row);
    if (waiting_.size() >= kChunk) encode_waiting();
  }

  Dataset finish() {
    encode_waiting();
    LM_CHECK(out_.n_examples > 0, ErrorCode::bad_file, "the data have no rows");
    LM_CHECK(!out_.rows.empty(), ErrorCode::bad_file,
             "none of {} rows can be trained on: {} bad, {} without a token to train on, {} too "
             "long{}",
             out_.n_examples, out_.n_bad, out_.n_untrained, out_.n_dropped,
             out_.problems.empty() ? "" : "; " + out_.problems[0]);
    return std::move(out_);
  }
  int64_t n_examples() const { return out_.n_examples; }

 private:
  Outcome encode(const SourceRow& source) const {
    const std::string where =
        source.line > 0 ? fmt::format("{}:{}", source.file, source.line) : source.file;
    try {
      Example example;
      LM_CHECK(format_->read(source.json, &example), ErrorCode::bad_file,
               "not of the shape {} ({})", format_->name, format_->fields);
      return {encode_example(example, o_.encode), ""};
    } catch (const Error& e) {
      if (e.code() == ErrorCode::interrupted) throw;
      return {std::nullopt, where + ": " + e.message()};
    } catch (const nlohmann::json::exception& e) {
      return {std::nullopt, where + ": " + e.what()};
    }
  }

  void encode_waiting() {
    if (waiting_.empty()) return;
    check_interrupt();
    if (format_ == nullptr) choose_format();
    std::vector<Outcome> outcomes(waiting_.size());
    ThreadPool::instance().run([&](Region& region) {
      region.share(static_cast<int64_t>(waiting_.size()), 8, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const auto at = static_cast<size_t>(i);
          try {
            outcomes[at] = encode(waiting_[at]);
          } catch (const std::exception& e) {
            outcomes[at] = {std::nullopt, e.what()};
          }
        }
      });
    });
    for (Outcome& outcome : outcomes) take(std::move(outcome));
    waiting_.clear();
  }

  // By the first row that has a known shape.
  void choose_format() {
    for (const SourceRow& row : waiting_) {
      try {
        format_ = &detect_format(row.json, fmt::format("{}:{}", row.file, row.line));
        break;
      } catch (const Error&) {
        if (&row == &waiting_.back() || o_.stop_at_bad_rows) throw;
      }
    }
    out_.format = format_->name;
  }

  void take(Outcome outcome) {
    ++out_.n_examples;
    if (!outcome.row) {
      LM_CHECK(!o_.stop_at_bad_rows, ErrorCode::bad_file, "{}", outcome.problem);
      if (++out_.n_bad <= static_cast<int64_t>(kProblems)) out_.problems.push_back(outcome.problem);
      return;
    }
    TokenRow& row = *outcome.row;
    const auto most = static_cast<size_t>(o_.max_length);
    if (row.ids.size() <= most) return keep(std::move(row));
    if (o_.too_long == "drop") {
      ++out_.n_dropped;
      return;
    }
    ++out_.n_cut;
    const size_t end = o_.too_long == "split" ? row.ids.size() : most;
    for (size_t at = 0; at < end; at += most) {
      const auto from = static_cast<std::ptrdiff_t>(at);
      const auto to = static_cast<std::ptrdiff_t>(std::min(end, at + most));
      keep({{row.ids.begin() + from, row.ids.begin() + to},
            {row.trained.begin() + from, row.trained.begin() + to}});
    }
  }

  // The first token of a row is never predicted.
  void keep(TokenRow row) {
    if (std::find(row.trained.begin() + (row.trained.empty() ? 0 : 1), row.trained.end(),
                  uint8_t{1}) == row.trained.end()) {
      ++out_.n_untrained;
      return;
    }
    out_.rows.push_back(std::move(row));
  }

  const DatasetOptions& o_;
  const DataFormat* format_ = nullptr;
  std::vector<SourceRow> waiting_;
  Dataset out_;
};

}  // namespace

int64_t Dataset::n_tokens() const {
  int64_t n = 0;
  for (const TokenRow& row : rows) n += static_cast<int64_t>(row.ids.size());
  return n;
}

int64_t Dataset::n_trained() const {
  int64_t n = 0;
  for (const TokenRow& row : rows) n += row.n_trained();
  return n;
}

uint32_t Dataset::hash() const {
  uint32_t crc = 0;
  for (const TokenRow& row : rows) {
    crc = crc32(std::as_bytes(std::span(row.ids)), crc);
    crc = crc32(std::as_bytes(std::span(row.trained)), crc);
  }
  return crc;
}

Dataset load_dataset(const DatasetOptions& options) {
  Loader loader(options);
  for (const std::string& path : options.paths)
    for (const std::string& file : data_files(path))
      read_rows(file, [&](const SourceRow& row) {
        loader.add(row);
        if (options.progress && loader.n_examples() % 1024 == 0)
          options.progress(0.0, fmt::format("reading {}  {} rows", file, loader.n_examples()));
        return true;
      });
  int64_t i = 0;
  for (const std::string& row : options.rows) loader.add({row, "rows", ++i});
  return loader.finish();
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
  Dataset out, rest;
  out.format = from->format;
  std::vector<TokenRow> kept;
  for (size_t i = 0; i < from->rows.size(); ++i)
    (away[i] ? out.rows : kept).push_back(std::move(from->rows[i]));
  from->rows = std::move(kept);
  return out;
}

}  // namespace lm
