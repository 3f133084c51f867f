#include "engine/data/row_reader.h"

#include <glob.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/data/parquet.h"
#include "engine/formats/json_file.h"

namespace lm {
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr size_t kMaxLine = size_t{1} << 30;
constexpr std::array kKinds = {".jsonl", ".ndjson", ".json", ".csv",
                               ".tsv",   ".txt",    ".md",   ".parquet"};

std::string kind_of(const std::string& file) {
  fs::path path(file);
  if (path.extension() == ".gz") path.replace_extension();
  return path.extension().string();
}

bool is_data_file(const std::string& file) {
  return std::find(kKinds.begin(), kKinds.end(), kind_of(file)) != kKinds.end();
}

// A plain or gzip file, read in pieces.
class Input {
 public:
  explicit Input(const std::string& file) : name_(file), file_(gzopen(file.c_str(), "rb")) {
    LM_CHECK(file_ != nullptr, ErrorCode::io, "{}: {}", file, std::strerror(errno));
    gzbuffer(file_, 1 << 17);
  }
  ~Input() { gzclose(file_); }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  int get() {
    if (at_ == size_ && !fill()) return -1;
    return static_cast<unsigned char>(buffer_[at_++]);
  }
  // The next line without its end; false at the end of the file.
  bool line(std::string* out) {
    out->clear();
    bool any = false, end_found = false;
    while (at_ < size_ || fill()) {
      any = true;
      const char* begin = buffer_.data() + at_;
      const auto* end = static_cast<const char*>(std::memchr(begin, '\n', size_ - at_));
      const size_t n = end != nullptr ? static_cast<size_t>(end - begin) : size_ - at_;
      LM_CHECK(out->size() + n <= kMaxLine, ErrorCode::bad_file, "{}: a line has over {} bytes",
               name_, kMaxLine);
      out->append(begin, n);
      at_ += n + (end != nullptr ? 1 : 0);
      end_found = end != nullptr;
      if (end_found) break;
    }
    ended_line_ = end_found;
    if (!out->empty() && out->back() == '\r') out->pop_back();
    return any;
  }
  // Whether the last line() had an end.
  bool ended_line() const { return ended_line_; }
  std::string all() {
    std::string out;
    while (at_ < size_ || fill()) {
      LM_CHECK(out.size() + size_ <= kMaxLine, ErrorCode::bad_file,
               "{}: has over {} bytes; expected lines (.jsonl) for files of this size", name_,
               kMaxLine);
      out.append(buffer_.data() + at_, size_ - at_);
      at_ = size_;
    }
    return out;
  }

 private:
  bool fill() {
    const int n = gzread(file_, buffer_.data(), static_cast<unsigned>(buffer_.size()));
    LM_CHECK(n >= 0, ErrorCode::bad_file, "{}: the compressed data are damaged", name_);
    at_ = 0;
    size_ = static_cast<size_t>(n);
    return n > 0;
  }
  std::string name_;
  gzFile file_;
  std::array<char, 1 << 16> buffer_{};
  size_t at_ = 0, size_ = 0;
  bool ended_line_ = false;
};

// A JSON text with rows in it; `{"data": [...]}` counts as the list.
const json* rows_of(const json& all) {
  if (all.is_array()) return &all;
  if (all.is_object())
    for (const char* key : {"data", "train", "rows"})
      if (const auto it = all.find(key); it != all.end() && it->is_array()) return &*it;
  return nullptr;
}

void read_json(const std::string& file, const std::function<bool(const SourceRow&)>& f) {
  const std::string text = Input(file).all();
  const json all = parse_json(text, file);
  const json* rows = rows_of(all);
  if (rows == nullptr) {
    f({all.dump(), file, 0, false});
    return;
  }
  int64_t i = 0;
  for (const json& row : *rows)
    if (!f({row.dump(), file, ++i, false})) return;
}

void read_lines(const std::string& file, const std::function<bool(const SourceRow&)>& f) {
  Input in(file);
  SourceRow row{"", file, 0, false};
  for (std::string line; in.line(&line);) {
    if (++row.line % 1024 == 0) check_interrupt();
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    row.json = std::move(line);
    if (!f(row)) return;
  }
}

// One record of RFC 4180; false at the end. lines: grows by those that the record takes.
bool csv_record(Input& in, char separator, std::vector<std::string>* fields, int64_t* lines) {
  fields->assign(1, "");
  bool quoted = false, any = false;
  for (int c; (c = in.get()) >= 0;) {
    any = true;
    if (c == '\n') ++*lines;
    if (quoted) {
      if (c != '"') {
        fields->back() += static_cast<char>(c);
        continue;
      }
      c = in.get();
      if (c == '"') {
        fields->back() += '"';
        continue;
      }
      quoted = false;
      if (c < 0) break;
      if (c == '\n') ++*lines;
    }
    if (c == '"' && fields->back().empty())
      quoted = true;
    else if (c == separator)
      fields->emplace_back();
    else if (c == '\n')
      return true;
    else if (c != '\r')
      fields->back() += static_cast<char>(c);
  }
  return any;
}

void read_csv(const std::string& file, char separator,
              const std::function<bool(const SourceRow&)>& f) {
  Input in(file);
  std::vector<std::string> names, fields;
  int64_t line = 0;
  if (!csv_record(in, separator, &names, &line)) return;
  if (names[0].starts_with("\xEF\xBB\xBF")) names[0].erase(0, 3);
  for (int64_t begin = line + 1; csv_record(in, separator, &fields, &line); begin = line + 1) {
    if (fields.size() == 1 && fields[0].empty()) continue;
    LM_CHECK(fields.size() == names.size(), ErrorCode::bad_file,
             "{}:{}: the row has {} fields; the first line names {}", file, begin, fields.size(),
             names.size());
    json row = json::object();
    for (size_t i = 0; i < names.size(); ++i) row[names[i]] = fields[i];
    if (!f({row.dump(-1, ' ', false, json::error_handler_t::replace), file, begin, false})) return;
  }
}

void read_text(const std::string& file, const std::function<bool(const SourceRow&)>& f) {
  constexpr size_t kPiece = size_t{1} << 20;
  Input in(file);
  std::string text;
  int64_t n_lines = 0, begin = 0;
  const auto give = [&](bool more) {
    const json row = {{"text", std::move(text)}};
    text.clear();
    const bool go_on =
        f({row.dump(-1, ' ', false, json::error_handler_t::replace), file, begin, more});
    begin = n_lines + 1;
    return go_on;
  };
  for (std::string line; in.line(&line);) {
    if (++n_lines % 1024 == 0) check_interrupt();
    if (line == "<|endoftext|>") {
      if (!text.empty() && !give(false)) return;
      continue;
    }
    // Where more follows, so that the last piece is not empty.
    if (text.size() >= kPiece && !give(true)) return;
    text += line;
    if (in.ended_line()) text += '\n';
  }
  if (!text.empty() || n_lines == 0) give(false);
}

std::vector<std::string> matching(const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> out;
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0)
    out.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  return out;
}

}  // namespace

bool holds_rows(const std::string& path) {
  const std::string kind = kind_of(path);
  return fs::is_directory(path) || path.find_first_of("*?") != path.npos || path.ends_with(".gz") ||
         (is_data_file(path) && kind != ".txt" && kind != ".md");
}

std::vector<std::string> data_files(const std::string& path) {
  std::vector<std::string> out;
  if (fs::is_directory(path)) {
    for (const auto& entry : fs::recursive_directory_iterator(path))
      if (entry.is_regular_file() && is_data_file(entry.path())) out.push_back(entry.path());
  } else if (fs::exists(path)) {
    LM_CHECK(is_data_file(path), ErrorCode::unsupported,
             "data file \"{}\" is of no known kind; expected .jsonl, .json, .csv, .tsv, .txt, "
             ".md, also as .gz, or .parquet",
             path);
    out.push_back(path);
  } else {
    out = matching(path);
  }
  std::sort(out.begin(), out.end());
  LM_CHECK(!out.empty(), ErrorCode::not_found, "no data file \"{}\"", path);
  return out;
}

void read_rows(const std::string& file, const std::function<bool(const SourceRow&)>& f) {
  const std::string kind = kind_of(file);
  if (file.ends_with(".parquet")) return read_parquet(file, f);
  if (kind == ".json") return read_json(file, f);
  if (kind == ".csv" || kind == ".tsv") return read_csv(file, kind == ".csv" ? ',' : '\t', f);
  if (kind == ".txt" || kind == ".md") return read_text(file, f);
  read_lines(file, f);
}

}  // namespace lm
