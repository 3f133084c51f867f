#include "engine/formats/safetensors_writer.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/formats/checkpoint.h"

namespace lm {
namespace {

using nlohmann::ordered_json;

// Header length and header, padded with spaces so that the data start at a multiple of 8.
std::string header(std::span<const OutputTensor> tensors) {
  ordered_json json = {{"__metadata__", {{"format", "pt"}}}};
  uint64_t offset = 0;
  for (const OutputTensor& t : tensors) {
    const uint64_t end = offset + t.size_bytes();
    json[t.name] = {{"dtype", safetensors_dtype_name(t.dtype)},
                    {"shape", t.shape},
                    {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = json.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t size = text.size();
  return std::string(reinterpret_cast<const char*>(&size), 8) + text;
}

}  // namespace

std::vector<std::string> write_safetensors(const std::string& folder, const std::string& stem,
                                           const std::vector<OutputTensor>& tensors,
                                           const WriteOptions& options) {
  check_unique_names(tensors);
  for (const OutputTensor& t : tensors)
    LM_CHECK(safetensors_dtype_name(t.dtype) != nullptr, ErrorCode::bad_option,
             "safetensors has no dtype for {} (tensor \"{}\")", dtype_name(t.dtype), t.name);
  const std::vector<size_t> ends = split_ends(tensors, options.max_file_bytes);
  TensorProgress progress(tensors, options);
  std::vector<std::unique_ptr<OutputFile>> files;
  ordered_json weight_map = ordered_json::object();
  uint64_t total = 0;
  size_t begin = 0;
  for (size_t part = 0; part < ends.size(); ++part) {
    const std::string name = ends.size() == 1 ? stem + ".safetensors"
                                              : fmt::format("{}-{:05}-of-{:05}.safetensors", stem,
                                                            part + 1, ends.size());
    files.push_back(std::make_unique<OutputFile>(folder + "/" + name));
    const auto mine = std::span(tensors).subspan(begin, ends[part] - begin);
    files.back()->write(header(mine));
    for (const OutputTensor& t : mine) {
      progress.write(t, files.back().get());
      weight_map[t.name] = name;
      total += t.size_bytes();
    }
    begin = ends[part];
  }
  std::vector<std::string> names;
  for (const auto& file : files) {
    file->commit();
    names.push_back(file->path());
  }
  if (files.size() > 1) {
    const ordered_json index = {{"metadata", {{"total_size", total}}}, {"weight_map", weight_map}};
    names.push_back(folder + "/" + stem + ".safetensors.index.json");
    const std::string text = index.dump(2) + "\n";
    write_file_atomic(names.back(), std::as_bytes(std::span(text)));
  }
  return names;
}

}  // namespace lm
