#include "engine/export/hf_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "engine/core/error.h"
#include "engine/core/half.h"
#include "engine/core/mapped_file.h"
#include "engine/export/export_tensor.h"
#include "engine/formats/safetensors_writer.h"
#include "engine/models/layout.h"
#include "engine/models/pooling.h"

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
    read_gguf_pooling(*config_.source, &spec_);
    family_ = &hf_family(arch_.name, spec_);
    for_each_branch(spec_, [&](const Branch& branch) {
      if (const auto* s = std::get_if<SsmSpec>(&branch.op); s && !s->per_channel())
        vectors_.insert({s->a, s->d, s->norm.weight});
    });
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
      // A wish for a type is one for the matrices; without it nothing is lost.
      const bool free = t.shape.size() > 1 && (type || t.dtype != DType::f32);
      const DType to = free || keeps_values(t, dtype) ? dtype : DType::f32;
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
    for (const std::string& f : write_sentence_files(spec_, folder)) files.push_back(f);
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

  // Whether a tensor's values survive in `type`.
  static bool keeps_values(const ExportTensor& t, DType type) {
    if (type == DType::f32) return true;
    bool all = true;
    write_converted(
        widened(t), DType::f32, ThreadPool::instance(), [&](std::span<const std::byte> bytes) {
          const auto* x = reinterpret_cast<const float*>(bytes.data());
          all = all &&
                std::all_of(x, x + bytes.size() / 4, [&](float v) { return narrow(v, type) == v; });
        });
    return all;
  }
  static float narrow(float x, DType type) {
    return type == DType::f16 ? half_to_float(float_to_half(x)) : bf16_to_float(float_to_bf16(x));
  }

  // The value of which llama.cpp's converter made x; a short one where that gives exactly x.
  static float log_of_minus(float x) {
    const float y = std::log(-x);
    for (const DType type : {DType::bf16, DType::f16})
      if (const float z = narrow(y, type); - std::exp(z) == x) return z;
    return y;
  }

  void add(const std::string& name, const TensorView& view, std::vector<ExportTensor>* out) const {
    std::string_view layer, part;
    if (family_->stacked_experts && add_whole_experts(name, view, out)) return;
    if (view.shape.size() > 1 && !part_name(name, 0).empty() &&
        find_rule(arch_, part_name(name, 0), &layer, &part, family_->tensors) != nullptr) {
      for (int64_t i = 0; i < view.shape[0]; ++i) {
        TensorView one = view;
        one.shape.erase(one.shape.begin());
        one.data += i * one.size_bytes();
        const std::string ours = part_name(name, i);
        const NameRule* rule = find_rule(arch_, ours, &layer, &part, family_->tensors);
        out->push_back(laid_out(written_name(*rule, layer, part), ours, one, rule->layout));
      }
      return;
    }
    const NameRule* rule = find_rule(arch_, name, &layer, &part, family_->tensors);
    LM_CHECK(rule != nullptr, ErrorCode::unsupported,
             "tensor \"{}\" has no name in Hugging Face checkpoints of {}; this model cannot be "
             "converted",
             name, family_->model_type);
    ExportTensor t = laid_out(written_name(*rule, layer, part), name, view, rule->layout);
    if (vectors_.contains(name)) t = as_vector(std::move(t));
    out->push_back(std::move(t));
  }

  // "blk.0.ffn_gate_exps.weight" and its up: one tensor, written when gate comes. False for others.
  bool add_whole_experts(const std::string& name, const TensorView& view,
                         std::vector<ExportTensor>* out) const {
    const size_t at = name.find("ffn_");
    if (!name.ends_with("_exps.weight")) return false;
    const std::string stem = name.substr(0, at);
    if (name.find("ffn_up_exps") != name.npos) return true;
    std::string_view layer, part;
    if (name.find("ffn_gate_exps") == name.npos) {
      const NameRule* rule = find_rule(arch_, name, &layer, &part);
      out->push_back(stored(written_name(*rule, layer, part), view));
      return true;
    }
    const auto up = tensors_.find(stem + "ffn_up_exps.weight");
    LM_CHECK(up != tensors_.end(), ErrorCode::bad_file, "the model has no tensor \"{}\"",
             stem + "ffn_up_exps.weight");
    const std::string ours = stem + "ffn_gate_up_exps.weight";
    const NameRule* rule = find_rule(arch_, ours, &layer, &part);
    out->push_back(interleaved(written_name(*rule, layer, part), view, up->second));
    return true;
  }

  // The rules' names are those of a model by itself or of one with a head, as the family's class
  // has it; the other one has, or lacks, the base's name in front.
  std::string written_name(const NameRule& rule, std::string_view layer,
                           std::string_view part) const {
    std::string name = hf_name(rule, layer, part);
    const std::string_view base = family_->base;
    if (base.empty()) return name;
    const bool head = name.starts_with("classifier.") || name.starts_with("head.");
    if (name.starts_with(base)) name.erase(0, base.size());
    return spec_.head && !head ? std::string(base) + name : name;
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
        return mapped(name, view, log_of_minus);
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
  std::set<std::string> vectors_;  // matrices of one column, or one row for each group
};

}  // namespace

std::vector<std::string> write_hf_folder(const std::shared_ptr<const GgufFile>& file,
                                         std::optional<FileType> type, const std::string& folder,
                                         const WriteOptions& options,
                                         std::vector<std::pair<DType, int64_t>>* counts) {
  return FolderWriter(file).write(type, folder, options, counts);
}

}  // namespace lm
