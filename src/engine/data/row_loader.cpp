#include "engine/data/row_loader.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/core/thread_pool.h"

namespace lm {
namespace {

// Encoded together: enough that threads rarely wait for each other.
constexpr size_t kChunkRows = 4096, kChunkBytes = size_t{4} << 20;

}  // namespace

// What became of one row.
struct RowLoader::Outcome {
  std::optional<TokenRow> row;
  std::string problem;
};

RowLoader::RowLoader(const DatasetOptions& o, std::unique_ptr<TokenStoreWriter> writer)
    : o_(o), writer_(std::move(writer)) {
  for (const DataFormat& f : data_formats())
    if (o.format == f.name) format_ = &f;
  LM_CHECK(format_ != nullptr || o.format == "auto", ErrorCode::bad_option,
           "format is \"{}\"; expected \"auto\" or a known format", o.format);
}

void RowLoader::add(const SourceRow& row) {
  waiting_.push_back(row);
  waiting_bytes_ += row.json.size();
  if (waiting_.size() >= kChunkRows || waiting_bytes_ >= kChunkBytes) encode_waiting();
}

std::shared_ptr<const TokenStore> RowLoader::finish() {
  encode_waiting();
  if (!open_.ids.empty()) keep(open_);
  return writer_->finish(std::move(counts_));
}

RowLoader::Outcome RowLoader::encode(const SourceRow& source) const {
  const std::string where =
      source.line > 0 ? fmt::format("{}:{}", source.file, source.line) : source.file;
  try {
    Example example;
    LM_CHECK(format_->read(source.json, &example), ErrorCode::bad_file, "not of the shape {} ({})",
             format_->name, format_->fields);
    EncodeRules rules = o_.encode;
    rules.add_eos = rules.add_eos && !source.more;
    return {encode_example(example, rules), ""};
  } catch (const Error& e) {
    if (e.code() == ErrorCode::interrupted) throw;
    return {std::nullopt, where + ": " + e.message()};
  } catch (const nlohmann::json::exception& e) {
    return {std::nullopt, where + ": " + e.what()};
  }
}

void RowLoader::encode_waiting() {
  if (waiting_.empty()) return;
  check_interrupt();
  if (format_ == nullptr) choose_format();
  counts_.format = format_->name;
  std::vector<Outcome> outcomes(waiting_.size());
  ThreadPool::instance().run([&](Region& region) {
    region.share(static_cast<int64_t>(waiting_.size()), 4, [&](int64_t begin, int64_t end) {
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
  waiting_bytes_ = 0;
}

// By the first row that has a known shape.
void RowLoader::choose_format() {
  for (const SourceRow& row : waiting_) {
    try {
      format_ = &detect_format(row.json, fmt::format("{}:{}", row.file, row.line));
      return;
    } catch (const Error&) {
      if (&row == &waiting_.back() || o_.stop_at_bad_rows) throw;
    }
  }
}

void RowLoader::take(Outcome outcome) {
  ++counts_.n_examples;
  if (!outcome.row) {
    LM_CHECK(!o_.stop_at_bad_rows, ErrorCode::bad_file, "{}", outcome.problem);
    ReadCounts one;
    one.n_bad = 1;
    one.problems = {outcome.problem};
    counts_.add(one);
    return;
  }
  const TokenRow& row = *outcome.row;
  if (o_.wrapped) return wrap(row);
  const auto most = static_cast<size_t>(o_.max_length);
  if (row.ids.size() <= most) return keep(row);
  if (o_.too_long == "drop") {
    ++counts_.n_dropped;
    return;
  }
  ++counts_.n_cut;
  const bool split = o_.too_long == "split" ||
                     (o_.too_long == "auto" && std::string_view("text") == format_->name);
  keep_pieces(row, split ? row.ids.size() : most);
}

// Pieces of max_length of the first `end` tokens.
void RowLoader::keep_pieces(const RowView& row, size_t end) {
  const auto most = static_cast<size_t>(o_.max_length);
  for (size_t at = 0; at < end; at += most) {
    const size_t n = std::min(end - at, most);
    const auto marks = row.trained.subspan(at, n);
    keep({row.ids.subspan(at, n), marks, std::count(marks.begin(), marks.end(), uint8_t{1})});
  }
}

void RowLoader::wrap(const TokenRow& row) {
  open_.ids.insert(open_.ids.end(), row.ids.begin(), row.ids.end());
  open_.trained.insert(open_.trained.end(), row.trained.begin(), row.trained.end());
  const auto most = static_cast<size_t>(o_.max_length);
  const size_t whole = open_.ids.size() / most * most;
  if (whole == 0) return;
  keep_pieces(open_, whole);
  const auto used = static_cast<std::ptrdiff_t>(whole);
  open_.ids.erase(open_.ids.begin(), open_.ids.begin() + used);
  open_.trained.erase(open_.trained.begin(), open_.trained.begin() + used);
}

// The first token of a row is never predicted.
void RowLoader::keep(const RowView& row) {
  if (row.n_trained - (!row.trained.empty() && row.trained[0] ? 1 : 0) > 0)
    writer_->add(row);
  else
    ++counts_.n_untrained;
}

}  // namespace lm
