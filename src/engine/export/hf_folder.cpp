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
#include "engine/export/hf_weights.h"
#include "engine/export/latent_tensors.h"
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
  FolderWriter(const std::shared_ptr<const GgufFile>& file, TensorMap tensors)
      : file_(*file),
        config_(config_from_gguf(file, embedding_rows(tensors))),
        arch_(find_arch(config_.architecture)),
        tensors_(std::move(tensors)) {
    for (const auto& [name, view] : tensors_) names_.push_back(name);
    std::sort(names_.begin(), names_.end(), gguf_tensor_order);
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
    HfTypes types;
    if (type) types.wish = hf_weight_type(*type);
    types.usual = types.wish.value_or(main_type());
    std::vector<ExportTensor> parts;
    for (const std::string& name : names_)
      if (!is_configuration(name)) add(name, tensors_.at(name), &parts);
    // Everything that can refuse comes before the first file.
    const std::string config = hf_config_json(*family_, config_, spec_, tensors_, *types.usual);
    std::vector<std::string> files = write_hf_weights(parts, types, folder, options, counts);
    for (const std::string& f : write_tokenizer_files(file_, folder)) files.push_back(f);
    for (const std::string& f : write_sentence_files(spec_, folder)) files.push_back(f);
    files.push_back(folder + "/config.json");
    write_file_atomic(files.back(), std::as_bytes(std::span(config)));
    return files;
  }

 private:
  DType main_type() const {
    std::map<DType, int64_t> bytes;
    for (const auto& [name, view] : tensors_) bytes[view.dtype] += view.size_bytes();
    const DType most =
        std::max_element(bytes.begin(), bytes.end(), [](const auto& a, const auto& b) {
          return a.second < b.second;
        })->first;
    return is_quantized(most) ? DType::f16 : most;
  }

  // The value of which llama.cpp's converter made x; a short one where that gives exactly x.
  static float log_of_minus(float x) {
    const float y = std::log(-x);
    for (const DType type : {DType::bf16, DType::f16})
      if (const float z = narrow(y, type); - std::exp(z) == x) return z;
    return y;
  }
  static float narrow(float x, DType type) {
    return type == DType::f16 ? half_to_float(float_to_half(x)) : bf16_to_float(float_to_bf16(x));
  }

  static int64_t embedding_rows(const TensorMap& tensors) {
    const auto it = tensors.find("token_embd.weight");
    LM_CHECK(it != tensors.end() && it->second.shape.size() == 2, ErrorCode::bad_file,
             "tensor \"token_embd.weight\" is missing or not a matrix");
    return it->second.rows();
  }

  void add(const std::string& name, const TensorView& view, std::vector<ExportTensor>* out) const {
    std::string_view layer, part;
    if (name.ends_with("attn_v_b.weight")) return;  // with its keys
    if (name.ends_with("attn_k_b.weight")) {
      const std::string stem = name.substr(0, name.size() - std::string_view("k_b.weight").size());
      const auto values = tensors_.find(stem + "v_b.weight");
      LM_CHECK(values != tensors_.end(), ErrorCode::bad_file, "the model has no tensor \"{}\"",
               stem + "v_b.weight");
      const std::string ours = stem + "kv_b.weight";
      const NameRule* rule = find_rule(arch_, ours, &layer, &part);
      LM_CHECK(rule != nullptr, ErrorCode::unsupported,
               "tensor \"{}\" has no name in checkpoints of {}", ours, family_->model_type);
      out->push_back(latent_joined(written_name(*rule, layer, part), view, values->second));
      return;
    }
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
  std::vector<std::string> names_;
  ModelSpec spec_;
  const HfFamily* family_ = nullptr;
  std::set<std::string> vectors_;  // matrices of one column, or one row for each group
};

}  // namespace

std::vector<std::string> write_hf_folder(const std::shared_ptr<const GgufFile>& file,
                                         std::optional<FileType> type, const std::string& folder,
                                         const WriteOptions& options,
                                         std::vector<std::pair<DType, int64_t>>* counts) {
  TensorMap tensors;
  for (const std::string& name : file->tensor_names()) tensors.emplace(name, *file->tensor(name));
  return write_hf_folder(file, std::move(tensors), type, folder, options, counts);
}

std::vector<std::string> write_hf_folder(const std::shared_ptr<const GgufFile>& metadata,
                                         TensorMap tensors, std::optional<FileType> type,
                                         const std::string& folder, const WriteOptions& options,
                                         std::vector<std::pair<DType, int64_t>>* counts) {
  return FolderWriter(metadata, std::move(tensors)).write(type, folder, options, counts);
}

}  // namespace lm
