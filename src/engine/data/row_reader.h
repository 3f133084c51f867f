// Rows of data files as JSON texts: .jsonl, .json, .csv, .tsv, .txt, .md, all of them also as .gz,
// and .parquet.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace lm {

struct SourceRow {
  std::string json;  // an object
  std::string file;
  int64_t line = 0;   // 1-based, of the row's first line; 0 where a file is one row
  bool more = false;  // the text goes on in the next row
};

// Whether a name stands for rows, by its end; else for text, line by line. Folders and patterns do.
bool holds_rows(const std::string& path);

// Files behind a name: a file, a folder (its data files, sorted), or a pattern with * or ?. Throws
// not_found, unsupported (a file of another kind, named).
std::vector<std::string> data_files(const std::string& path);

// Calls f(row) for every row of the file until f says false, reading as it goes. Empty lines are
// left out; lines that are no JSON are given as they are. Text files are one text, {"text": ...},
// in several rows when they are long; a line <|endoftext|> begins another text. Throws io,
// bad_file, interrupted.
void read_rows(const std::string& file, const std::function<bool(const SourceRow&)>& f);

}  // namespace lm
