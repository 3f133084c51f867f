// The texts of data files, for what learns from plain text.
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/data/dataset.h"
#include "engine/data/row_reader.h"

namespace lm {
namespace {

std::string text_of(const Example& e) {
  if (!e.text.empty()) return e.text;
  if (e.messages.empty()) return e.prompt + e.completion;
  std::string out;
  for (const auto& message : nlohmann::json::parse(e.messages))
    out += (out.empty() ? "" : "\n") + message.value("content", "");
  return out;
}

}  // namespace

void read_texts(const std::vector<std::string>& paths, const std::vector<std::string>& rows,
                const std::function<void(std::string_view)>& f) {
  const DataFormat* format = nullptr;
  const auto take = [&](const std::string& row, const std::string& where) {
    if (format == nullptr) format = &detect_format(row, where);
    try {
      Example e;
      if (format->read(row, &e)) f(text_of(e));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::bad_file) throw;
    } catch (const nlohmann::json::exception&) {  // a row that training reports
    }
  };
  for (const std::string& path : paths)
    for (const std::string& file : data_files(path))
      read_rows(file, [&](const SourceRow& row) {
        take(row.json, row.file);
        return true;
      });
  for (const std::string& row : rows) take(row, "rows");
}

}  // namespace lm
