// Files of any known kind as token rows.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/data/token_row.h"

namespace lm {

struct DatasetOptions {
  std::vector<std::string> paths;  // files, folders, patterns
  std::vector<std::string> rows;   // and rows as JSON texts
  std::string format = "auto";     // or a name of data_formats()
  int64_t max_length = 1024;
  std::string too_long = "cut";   // "cut", "split", "drop"
  bool stop_at_bad_rows = false;  // else they are left out and counted
  EncodeRules encode;
  std::function<void(double, const std::string&)> progress;  // may be empty
};

struct Dataset {
  std::vector<TokenRow> rows;
  std::string format;  // of the first row
  int64_t n_examples = 0, n_bad = 0, n_untrained = 0, n_cut = 0, n_dropped = 0;
  std::vector<std::string> problems;  // the first bad rows: "file:line: what"
  int64_t n_tokens() const;
  int64_t n_trained() const;
  uint32_t hash() const;  // CRC-32 of all ids and marks
};

// Reads, converts and encodes on all threads; the result's order is that of the files. Rows without
// a token to train on are left out. Throws not_found, io, bad_file (no usable row at all; with
// stop_at_bad_rows the first bad one), interrupted.
Dataset load_dataset(const DatasetOptions& options);

// Calls f with the text of every row that has one: a text, a prompt with its completion, the
// contents of a conversation. Throws what reading throws; rows of no known shape are left out.
void read_texts(const std::vector<std::string>& paths, const std::vector<std::string>& rows,
                const std::function<void(std::string_view)>& f);

// Moves the last `count` rows (below 1: that share) of a shuffled order into another set.
Dataset split_off(Dataset* from, double count, uint64_t seed);

// Fisher-Yates with a fixed generator: the same everywhere.
std::vector<int64_t> shuffled(int64_t n, uint64_t seed);

}  // namespace lm
