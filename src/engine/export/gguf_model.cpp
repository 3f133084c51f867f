#include "engine/export/gguf_model.h"

#include <algorithm>
#include <map>

namespace lm {

namespace {

constexpr uint32_t kQuantizationVersion = 2;  // of ggml's block formats

FileTypeModel file_type_model(const GgufFile& f) {
  FileTypeModel m;
  m.architecture = f.get_string("general.architecture").value_or("");
  const auto number = [&](const char* key) -> int64_t {
    const auto values = f.get_ints(m.architecture + "." + key);
    return values.empty() ? 0 : *std::max_element(values.begin(), values.end());
  };
  m.n_layers = number("block_count");
  m.n_experts = number("expert_count");
  m.n_heads = number("attention.head_count");
  m.n_kv_heads = number("attention.head_count_kv");
  if (m.n_kv_heads == 0) m.n_kv_heads = m.n_heads;
  return m;
}

}  // namespace

GgufModel gguf_model(const GgufFile& file) {
  GgufModel out;
  out.metadata.copy_all(file);
  for (const char* key : {"general.alignment", "split.no", "split.count", "split.tensors.count"})
    out.metadata.erase(key);
  out.model = file_type_model(file);
  out.files = file.files();
  for (const std::string& name : file.tensor_names())
    out.tensors.push_back(stored(name, *file.tensor(name)));
  return out;
}

std::vector<std::string> write_gguf_model(GgufModel m, std::optional<FileType> type,
                                          const std::string& path, const GgufWriteOptions& options,
                                          std::vector<std::pair<DType, int64_t>>* counts) {
  std::stable_sort(m.tensors.begin(), m.tensors.end(),
                   [](const ExportTensor& a, const ExportTensor& b) {
                     return gguf_tensor_order(a.name, b.name);
                   });
  std::vector<DType> types;
  if (type) {
    std::vector<TensorInfo> infos;
    for (const ExportTensor& t : m.tensors) infos.push_back({t.name, t.shape, t.dtype});
    types = choose_types(*type, m.model, infos);
    // At the end, as llama-quantize puts them.
    m.metadata.erase("general.quantization_version");
    m.metadata.erase("general.file_type");
    m.metadata.set_u32("general.quantization_version", kQuantizationVersion);
    m.metadata.set_u32("general.file_type",
                       static_cast<uint64_t>(file_type_info(*type).gguf_number));
  } else {
    for (const ExportTensor& t : m.tensors) types.push_back(t.dtype);
  }
  std::vector<OutputTensor> out;
  std::map<DType, int64_t> tally;
  for (size_t i = 0; i < types.size(); ++i) {
    const ExportTensor& t = m.tensors[i];
    const DType to = types[i];
    ++tally[to];
    out.push_back({t.name, to, t.shape, [&t, to](const ByteSink& sink) {
                     write_converted(t, to, ThreadPool::instance(), sink);
                   }});
  }
  if (counts) counts->assign(tally.begin(), tally.end());
  return write_gguf(path, m.metadata, out, options);
}

}  // namespace lm
