// Files of any known kind as token rows.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/data/token_store.h"

namespace lm {

struct DatasetOptions {
  std::vector<std::string> paths;  // files, folders, patterns
  // Of each path, how often its rows count: 2: twice, 0.5: a random half of them. Empty: once.
  std::vector<double> weights;
  std::vector<std::string> rows;  // and rows as JSON texts
  std::string format = "auto";    // or a name of data_formats()
  int64_t max_length = 1024;
  std::string too_long = "auto";  // "cut", "split", "drop"; "auto": texts are split, others cut
  bool wrapped = false;           // one text after the other, cut into rows across their borders
  bool stop_at_bad_rows = false;  // else they are left out and counted
  EncodeRules encode;
  uint64_t seed = 0;  // of the choice that weights make
  // Paths with more bytes than this are tokenised into a file of `cache`, which is used again for
  // the same files, tokenizer and options, and removed when a month has passed without. An empty
  // cache: everything stays in memory.
  std::string cache;
  int64_t cache_above = int64_t{32} << 20;
  // Share of the bytes that were read, and what is being done; may be empty.
  std::function<void(double, const std::string&)> progress;
};

// One of the paths, or the rows given: what it adds, as often as its weight says.
struct DataSource {
  std::string name;
  double weight = 1;
  int64_t n_rows = 0, n_tokens = 0;
};

struct Dataset {
  std::vector<RowView> rows;
  ReadCounts counts;
  std::vector<std::shared_ptr<const TokenStore>> stores;  // what the rows are views of
  std::vector<DataSource> sources;
  uint32_t choice = 0;  // CRC-32 of the weights and their seed; 0 without weights
  int64_t n_tokens() const;
  int64_t n_trained() const;
  uint32_t hash() const;  // differs where rows differ
};

// Reads, converts and encodes on all threads; the result's order is that of the files. Rows without
// a token to train on are left out. Throws not_found, io, bad_file (no usable row at all; with
// stop_at_bad_rows the first bad one), interrupted.
Dataset load_dataset(const DatasetOptions& options);

// Where tokenised rows are kept: $XDG_CACHE_HOME/lmfast/tokens, else ~/.cache/lmfast/tokens.
std::string token_cache_folder();

// Calls f with the text of every row that has one: a text, a prompt with its completion, the
// contents of a conversation. Throws what reading throws; rows of no known shape are left out.
void read_texts(const std::vector<std::string>& paths, const std::vector<std::string>& rows,
                const std::function<void(std::string_view)>& f);

// Moves the last `count` rows (below 1: that share) of a shuffled order into another set.
Dataset split_off(Dataset* from, double count, uint64_t seed);

// Fisher-Yates with a fixed generator: the same everywhere.
std::vector<int64_t> shuffled(int64_t n, uint64_t seed);

}  // namespace lm
