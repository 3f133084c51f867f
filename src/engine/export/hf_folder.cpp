#include "engine/export/hf_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "engine/core/error.h"
#include "engine/core/half.h"
#include "engine/core/mapped_file.h"
#include "engine/export/export_tensor.h"
#include "engine/formats/safetensors_writer.h"
#include "engine/models/layout.h"

namespace lm {
namespace fs = std::filesystem;
namespace {

// Tensors that Hugging Face keeps in config.json instead.
bool is_configuration(std::string_view name) {
  return name == "rope_freqs.weight" || name.starts_with("rope_factors_");
}

// What GGUF stacks and Hugging Face keeps apart: "blk.0.ffn_gate_exps.weight" ->
// "blk.0.ffn_gate.{}.weight".
std::string part_name(const std::string& name, int64_t part) {
  for (const char* stacked :
       {"ffn_gate_exps", "ffn_up_exps", "ffn_down_exps", "attn_q_norm", "attn_k_norm"}) {
    const std::string_view s = stacked;
    const size_t at = name.find(s);
    if (at == std::string::npos) continue;
    const std::string_view stem = s.ends_with("_exps") ? s.substr(0, s.size() - 5) : s;
    return fmt::format("{}{}.{}{}", name.substr(0, at), stem, part, name.substr(at + s.size()));
  }
  return "";
}

class FolderWriter {
 public:
  explicit FolderWriter(const std::shared_ptr<const GgufFile>& file)
      : file_(*file), config_(config_from_gguf(file)), arch_(find_arch(config_.architecture)) {
    for (const std::string& name : file->tensor_names())
      tensors_.emplace(name, *file->tensor(name));
    spec_ = arch_.describe(config_, tensors_);
    const bool experts = tensors_.contains("blk.0.ffn_gate_exps.weight");
    family_ = &hf_family(arch_.name, experts, config_.sliding_window > 0);
  }

  std::vector<std::string> write(std::optional<FileType> type, const std::string& folder,
                                 const WriteOptions& options,
                                 std::vector<std::pair<DType, int64_t>>* counts) {
    const DType dtype = weight_type(type);
    std::vector<ExportTensor> parts;
    for (const std::string& name : file_.tensor_names())
      if (!is_configuration(name)) add(name, *file_.tensor(name), &parts);
    std::vector<OutputTensor> out;
    std::map<DType, int64_t> tally;
    for (const ExportTensor& t : parts) {
      const DType to = t.shape.size() > 1 || keeps_values(t, dtype) ? dtype : DType::f32;
      ++tally[to];
      out.push_back({t.name, to, t.shape, [&t, to](const ByteSink& sink) {
                       write_converted(t, to, ThreadPool::instance(), sink);
                     }});
    }
    counts->assign(tally.begin(), tally.end());
    // Everything that can refuse comes before the first file.
    const std::string config = hf_config_json(*family_, config_, spec_, tensors_, dtype);
    fs::create_directories(folder);
    std::vector<std::string> files = write_safetensors(folder, "model", out, options);
    // An index of an earlier, larger model would be read first.
    if (files.size() == 1) fs::remove(folder + "/model.safetensors.index.json");
    for (const std::string& f : write_tokenizer_files(file_, folder)) files.push_back(f);
    files.push_back(folder + "/config.json");
    write_file_atomic(files.back(), std::as_bytes(std::span(config)));
    return files;
  }

 private:
  DType weight_type(std::optional<FileType> type) const {
    if (type) {
      const DType t = file_type_info(*type).dtype;
      LM_CHECK(t == DType::f32 || t == DType::f16 || t == DType::bf16, ErrorCode::bad_option,
               "type \"{}\" needs a .gguf file; Hugging Face folders take f32, f16 and bf16",
               file_type_info(*type).name);
      return t;
    }
    std::map<DType, int64_t> bytes;
    for (const auto& [name, view] : tensors_) bytes[view.dtype] += view.size_bytes();
    const DType most =
        std::max_element(bytes.begin(), bytes.end(), [](const auto& a, const auto& b) {
          return a.second < b.second;
        })->first;
    return is_quantized(most) ? DType::f16 : most;
  }

  // Whether a vector's values survive in `type`.
  static bool keeps_values(const ExportTensor& t, DType type) {
    const ExportTensor wide = widened(t);
    const int64_t n = wide.rows() * wide.cols();
    std::vector<float> x(static_cast<size_t>(n));
    wide.read(0, wide.rows(), reinterpret_cast<std::byte*>(x.data()));
    return std::all_of(x.begin(), x.end(), [&](float v) {
      if (type == DType::f16) return half_to_float(float_to_half(v)) == v;
      return type != DType::bf16 || bf16_to_float(float_to_bf16(v)) == v;
    });
  }

  void add(const std::string& name, const TensorView& view, std::vector<ExportTensor>* out) const {
    std::string_view layer, part;
    if (view.shape.size() > 1 && !part_name(name, 0).empty() &&
        find_rule(arch_, part_name(name, 0), &layer, &part, family_->tensors) != nullptr) {
      for (int64_t i = 0; i < view.shape[0]; ++i) {
        TensorView one = view;
        one.shape.erase(one.shape.begin());
        one.data += i * one.size_bytes();
        const std::string ours = part_name(name, i);
        const NameRule* rule = find_rule(arch_, ours, &layer, &part, family_->tensors);
        out->push_back(laid_out(hf_name(*rule, layer, part), ours, one, rule->layout));
      }
      return;
    }
    const NameRule* rule = find_rule(arch_, name, &layer, &part, family_->tensors);
    LM_CHECK(rule != nullptr, ErrorCode::unsupported,
             "tensor \"{}\" has no name in Hugging Face checkpoints of {}; this model cannot be "
             "converted",
             name, family_->model_type);
    out->push_back(laid_out(hf_name(*rule, layer, part), name, view, rule->layout));
  }

  ExportTensor laid_out(const std::string& name, const std::string& ours, const TensorView& view,
                        Layout layout) const {
    switch (layout) {
      case Layout::rope_rows:
      case Layout::fused_heads:
        return reordered(name, view, layout_rows(layout, ours, view.shape[0], config_, false));
      case Layout::transposed:
        return transposed(name, view);
      case Layout::plus_one:
        return mapped(name, view, [](float x) { return x - 1.0f; });
      case Layout::minus_exp:
        return mapped(name, view, [](float x) { return std::log(-x); });
      case Layout::squeezed: {
        TensorView v = view;
        v.shape.insert(v.shape.begin() + 1, 1);
        return stored(name, v);
      }
      case Layout::same:
        break;
    }
    return stored(name, view);
  }

  const GgufFile& file_;
  ModelConfig config_;
  const Arch& arch_;
  TensorMap tensors_;
  ModelSpec spec_;
  const HfFamily* family_ = nullptr;
};

}  // namespace

std::vector<std::string> write_hf_folder(const std::shared_ptr<const GgufFile>& file,
                                         std::optional<FileType> type, const std::string& folder,
                                         const WriteOptions& options,
                                         std::vector<std::pair<DType, int64_t>>* counts) {
  return FolderWriter(file).write(type, folder, options, counts);
}

}  // namespace lm
