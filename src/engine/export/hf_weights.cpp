#include "engine/export/hf_weights.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "engine/core/error.h"
#include "engine/core/half.h"
#include "engine/formats/safetensors_writer.h"

namespace lm {
namespace {

bool keeps_values(const ExportTensor& t, DType type) {
  if (type == DType::f32) return true;
  const auto kept = [type](float v) {
    return type == DType::f16 ? half_to_float(float_to_half(v)) == v
                              : bf16_to_float(float_to_bf16(v)) == v;
  };
  bool all = true;
  write_converted(widened(t), DType::f32, ThreadPool::instance(),
                  [&](std::span<const std::byte> bytes) {
                    const auto* x = reinterpret_cast<const float*>(bytes.data());
                    all = all && std::all_of(x, x + bytes.size() / 4, kept);
                  });
  return all;
}

DType type_for(const ExportTensor& t, const HfTypes& types) {
  const bool number = t.dtype == DType::f32 || t.dtype == DType::f16 || t.dtype == DType::bf16 ||
                      is_quantized(t.dtype);
  const std::optional<DType> to = types.wish ? types.wish : types.usual;
  if (!number || !to || *to == t.dtype) return t.dtype;
  const bool free = t.shape.size() > 1 && (types.wish || t.dtype != DType::f32);
  return free || keeps_values(t, *to) ? *to : DType::f32;
}

}  // namespace

DType hf_weight_type(FileType type) {
  const DType t = file_type_info(type).dtype;
  LM_CHECK(t == DType::f32 || t == DType::f16 || t == DType::bf16, ErrorCode::bad_option,
           "type \"{}\" needs a .gguf file; Hugging Face folders take f32, f16 and bf16",
           file_type_info(type).name);
  return t;
}

std::vector<std::string> write_hf_weights(const std::vector<ExportTensor>& tensors,
                                          const HfTypes& types, const std::string& folder,
                                          const WriteOptions& options,
                                          std::vector<std::pair<DType, int64_t>>* counts) {
  std::vector<OutputTensor> out;
  std::map<DType, int64_t> tally;
  for (const ExportTensor& t : tensors) {
    const DType to = type_for(t, types);
    ++tally[to];
    out.push_back({t.name, to, t.shape, [&t, to](const ByteSink& sink) {
                     write_converted(t, to, ThreadPool::instance(), sink);
                   }});
  }
  counts->assign(tally.begin(), tally.end());
  std::filesystem::create_directories(folder);
  std::vector<std::string> files = write_safetensors(folder, "model", out, options);
  // An index of an earlier, larger model would be read first.
  if (files.size() == 1) std::filesystem::remove(folder + "/model.safetensors.index.json");
  return files;
}

}  // namespace lm
