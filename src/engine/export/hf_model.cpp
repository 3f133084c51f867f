#include "engine/export/hf_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "engine/core/error.h"
#include "engine/export/fold.h"
#include "engine/export/latent_tensors.h"
#include "engine/export/model_keys.h"
#include "engine/models/arch.h"
#include "engine/models/layout.h"
#include "engine/models/pooling.h"
#include "engine/models/spec_traits.h"

namespace lm {
namespace fs = std::filesystem;
namespace {

// Buffers that some checkpoints hold and no model needs.
bool is_buffer(std::string_view name) {
  for (const char* end :
       {".inv_freq", ".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias",
        "position_ids", ".rotary_emb.cos_cached", ".rotary_emb.sin_cached"})
    if (name.ends_with(end)) return true;
  return false;
}

// Parts that GGUF files stack: "blk.0.ffn_gate.3.weight" -> "blk.0.ffn_gate_exps.weight" and 3,
// "blk.0.attn_q_norm.3.weight" -> "blk.0.attn_q_norm.weight" and 3; false for other names.
bool stacked_name(const std::string& name, std::string* stacked, int* part) {
  static constexpr std::pair<const char*, const char*> kParts[] = {
      {".ffn_gate.", ".ffn_gate_exps"},
      {".ffn_up.", ".ffn_up_exps"},
      {".ffn_down.", ".ffn_down_exps"},
      {".attn_q_norm.", ".attn_q_norm"},
      {".attn_k_norm.", ".attn_k_norm"}};
  for (const auto& [found, meant] : kParts) {
    const size_t at = name.find(found);
    if (at == std::string::npos) continue;
    const size_t digits = at + std::string_view(found).size();
    const size_t end = name.find_first_not_of("0123456789", digits);
    if (end == digits || end == std::string::npos) continue;
    *part = std::stoi(name.substr(digits, std::min<size_t>(end - digits, 6)));
    *stacked = name.substr(0, at) + meant + name.substr(end);
    return true;
  }
  return false;
}

class HfReader {
 public:
  explicit HfReader(const std::string& folder)
      : folder_(folder),
        config_(config_from_json(folder + "/config.json")),
        arch_(find_arch(config_.architecture)),
        file_(open_checkpoint(folder)),
        spec_(arch_.describe(config_, rename_tensors(arch_, file_.tensors))) {
    read_sentence_transformers(folder, &spec_);
  }

  GgufModel read() {
    check_representable();
    out_.files = file_.files;
    out_.model = {arch_.name, config_.n_layers, 0, config_.n_heads, config_.n_kv_heads};
    skipped_positions_ = spec_.position_offset;
    folded_ = fold(arch_, &spec_);
    add_tensors();
    add_rope_factors();
    set_model_keys(arch_, config_, spec_,
                   fs::path(fs::absolute(folder_)).lexically_normal().filename().string(),
                   &out_.metadata);
    set_counts();
    check_same();
    set_tokenizer(folder_, config_.vocab_size, &out_.metadata);
    return std::move(out_);
  }

 private:
  // GGUF's keys have no place for some things that config.json can say.
  void check_representable() const {
    LM_CHECK(arch_.gguf, ErrorCode::unsupported,
             "there are no GGUF files of architecture {}; this model cannot be converted",
             arch_.name);
    const RopeScalingConfig& rope = config_.rope_scaling;
    LM_CHECK(rope.type != "dynamic", ErrorCode::unsupported,
             "GGUF files have no place for dynamic RoPE scaling; this model cannot be converted");
  }

  // The file that will be written must describe the same model: whatever its keys cannot say, or
  // say in a way that is read otherwise, shows here and is refused.
  void check_same() const {
    const auto file = metadata_file(out_.metadata);
    // Descriptions look at the values of small tensors only (factors of the rotation).
    constexpr int64_t kSmall = 1 << 16;
    std::vector<std::vector<float>> values;
    values.reserve(out_.tensors.size());
    TensorMap tensors;
    for (const ExportTensor& t : out_.tensors) {
      TensorView view{nullptr, t.dtype, t.shape};
      if (t.shape.size() == 1 && view.numel() <= kSmall) {
        values.emplace_back(static_cast<size_t>(view.numel()));
        widened(t).read(0, 1, reinterpret_cast<std::byte*>(values.back().data()));
        view = {reinterpret_cast<const std::byte*>(values.back().data()), DType::f32, t.shape};
      }
      tensors.emplace(t.name, view);
    }
    std::string difference;
    try {
      const ModelConfig config = config_from_gguf(file, config_.vocab_size);
      ModelSpec written = arch_.describe(config, tensors);
      read_gguf_pooling(*config.source, &written);
      difference = spec_difference(spec_, written);
    } catch (const Error& e) {
      difference = e.message();
    }
    LM_CHECK(
        difference.empty(), ErrorCode::unsupported,
        "this model of architecture {} cannot be a GGUF file: it would be read as another one ({})",
        arch_.name, difference);
  }

  void add_tensors() {
    std::map<std::string, std::map<int, TensorView>> parts;
    for (const auto& [hf, view] : file_.tensors) {
      const std::string name = rename_tensor(arch_, hf);
      std::string_view layer, expert;
      const NameRule* rule = find_rule(arch_, name, &layer, &expert);
      const bool known = rule != nullptr && name != hf;
      if (!known && is_buffer(hf)) continue;
      LM_CHECK(known, ErrorCode::unsupported,
               "tensor \"{}\" has no name in GGUF files of {}; this model cannot be converted", hf,
               arch_.name);
      if (name == "output.weight" && spec_.output && spec_.output->weight == "token_embd.weight")
        continue;  // tied
      if (name == "token_embd.weight" && folded_.untied) add(stored("output.weight", view));
      std::string whole;
      int index = 0;
      if (stacked_name(name, &whole, &index))
        parts[whole][index] = view;
      else if (name.ends_with("ffn_gate_up_exps.weight"))
        add_gate_and_up(name, view);
      else if (name.ends_with("attn_kv_b.weight"))
        add_latent(name, view);
      else
        add(laid_out(name, view, rule->layout));
    }
    for (const auto& [name, views] : parts) add_stacked(name, views);
    set_shapes();
  }

  // Mamba 2's vectors are matrices in GGUF files: one column, or one row for each group.
  void set_shapes() {
    std::map<std::string, int64_t> rows;
    for_each_branch(spec_, [&](const Branch& branch) {
      const auto* s = std::get_if<SsmSpec>(&branch.op);
      if (s == nullptr || s->per_channel()) return;
      rows[s->a] = rows[s->d] = s->n_heads;
      rows[s->norm.weight] = s->norm_groups;
    });
    for (ExportTensor& t : out_.tensors)
      if (const auto it = rows.find(t.name); it != rows.end() && t.shape.size() == 1)
        t = as_matrix(std::move(t), it->second);
  }

  // Of some tables a file has to say how many rows they have.
  void set_counts() {
    for (const ExportTensor& t : out_.tensors) {
      const auto rows = static_cast<size_t>(t.shape[0]);
      if (t.name == spec_.token_types)
        out_.metadata.set_u32("tokenizer.ggml.token_type_count", rows);
      if (!spec_.head || t.name != spec_.head->output.weight || rows < 2) continue;
      std::vector<std::string> labels;
      for (size_t i = 0; i < rows; ++i)
        labels.push_back(config_.source->text(fmt::format("id2label.{}", i), "")
                             .value_or(fmt::format("LABEL_{}", i)));
      out_.metadata.set_strings(std::string(arch_.name) + ".classifier.output_labels", labels);
    }
  }

  void add_stacked(const std::string& name, const std::map<int, TensorView>& parts) {
    std::vector<TensorView> views;
    for (const auto& [index, view] : parts) {
      LM_CHECK(index == static_cast<int>(views.size()), ErrorCode::bad_file,
               "part {} of \"{}\" is missing", views.size(), name);
      views.push_back(view);
    }
    if (name.ends_with("_exps.weight")) out_.model.n_experts = static_cast<int64_t>(views.size());
    add(stacked(name, std::move(views)));
  }

  // llama.cpp keeps the latent itself as key and value, for which it needs the two apart.
  void add_latent(const std::string& name, const TensorView& view) {
    const AttentionSpec& a = *first_attention();
    const int64_t nope = a.head_dim - a.rope.dim;
    const std::string stem = name.substr(0, name.size() - std::string_view("kv_b.weight").size());
    add(latent_k(stem + "k_b.weight", view, a.n_heads, nope));
    add(latent_v(stem + "v_b.weight", view, a.n_heads, nope));
  }

  // [experts, gate and up, hidden] in one tensor; GGUF files have two.
  void add_gate_and_up(const std::string& name, const TensorView& view) {
    LM_CHECK(view.shape.size() == 3 && view.shape[1] % 2 == 0, ErrorCode::bad_file,
             "tensor \"{}\" has shape {}; expected [experts, 2 x size, hidden]", name,
             shape_string(view.shape));
    const int64_t experts = view.shape[0], size = view.shape[1] / 2;
    out_.model.n_experts = experts;
    const std::string stem =
        name.substr(0, name.size() - std::string_view("gate_up_exps.weight").size());
    for (const int64_t half : {0, 1}) {
      std::vector<int64_t> from;
      for (int64_t e = 0; e < experts; ++e)
        for (int64_t i = 0; i < size; ++i) from.push_back((2 * e + half) * size + i);
      add(picked_rows(stem + (half == 0 ? "gate" : "up") + "_exps.weight", view,
                      {experts, size, view.shape[2]}, std::move(from)));
    }
  }

  ExportTensor laid_out(const std::string& name, const TensorView& view, Layout layout) const {
    switch (layout) {
      case Layout::rope_rows:
      case Layout::fused_heads:
        return reordered(name, view, layout_rows(layout, name, view.shape[0], config_, true));
      case Layout::transposed:
        return transposed(name, view);
      case Layout::plus_one:
        return mapped(name, view, [](float x) { return x + 1.0f; });
      case Layout::minus_exp:
        return mapped(name, view, [](float x) { return -std::exp(x); });
      case Layout::squeezed: {
        TensorView v = view;
        std::erase(v.shape, 1);
        return stored(name, v);
      }
      case Layout::same:
        break;
    }
    return name == spec_.positions && skipped_positions_ > 0 ? without_first_rows(name, view)
                                                             : stored(name, view);
  }

  ExportTensor without_first_rows(const std::string& name, const TensorView& view) const {
    LM_CHECK(view.shape.size() == 2 && view.shape[0] > skipped_positions_, ErrorCode::bad_file,
             "tensor \"{}\" has shape {}; expected more than {} rows", name,
             shape_string(view.shape), skipped_positions_);
    TensorView rest = view;
    rest.data += skipped_positions_ * dtype_bytes(view.dtype, view.cols());
    rest.shape[0] -= skipped_positions_;
    return stored(name, rest);
  }

  // What quantising leaves alone is f32 in GGUF files, as llama.cpp expects it.
  void add(ExportTensor t) {
    if (t.shape.empty()) t.shape = {1};
    if (const auto it = folded_.scales.find(t.name); it != folded_.scales.end())
      t = scaled(std::move(t), it->second);
    if (keeps_type({t.name, t.shape, t.dtype})) t = widened(std::move(t));
    out_.tensors.push_back(std::move(t));
  }

  // llama3 and longrope scaling are divisors of the frequencies, in tensors of their own.
  void add_factors(const char* name, std::vector<float> factors) {
    const auto n = static_cast<int64_t>(factors.size());
    out_.tensors.push_back(
        {name, DType::f32, {n}, [x = std::move(factors)](int64_t, int64_t, std::byte* out) {
           std::copy_n(reinterpret_cast<const std::byte*>(x.data()), x.size() * 4, out);
         }});
  }
  void add_rope_factors() {
    const RopeScalingConfig& s = config_.rope_scaling;
    const auto narrow = [](const std::vector<double>& x) {
      return std::vector<float>(x.begin(), x.end());
    };
    if (s.type == "longrope") {
      add_factors("rope_factors_short.weight", narrow(s.short_factor));
      add_factors("rope_factors_long.weight", narrow(s.long_factor));
    }
    if (s.type != "llama3") return;
    const AttentionSpec* a = first_attention();
    if (a == nullptr) return;
    const RopeSpec* rope = &a->rope;
    std::vector<float> factors;
    for (size_t i = 0; i < rope->frequencies.size(); ++i)
      factors.push_back(
          static_cast<float>(std::pow(config_.rope_theta, -2.0 * static_cast<double>(i) /
                                                              static_cast<double>(rope->dim)) /
                             rope->frequencies[i]));
    add_factors("rope_freqs.weight", std::move(factors));
  }
  const AttentionSpec* first_attention() const {
    for (const auto& layer : spec_.layers)
      for (const Block& block : layer)
        for (const Branch& branch : block.branches)
          if (const auto* a = std::get_if<AttentionSpec>(&branch.op)) return a;
    return nullptr;
  }

  std::string folder_;
  ModelConfig config_;
  const Arch& arch_;
  TensorFile file_;
  ModelSpec spec_;  // as the file will be read
  Folded folded_;
  int64_t skipped_positions_ = 0;  // rows of the position table before the first position
  GgufModel out_;
};

}  // namespace

GgufModel hf_model(const std::string& folder) {
  LM_CHECK(fs::exists(folder + "/config.json"), ErrorCode::not_found,
           "\"{}\" has no config.json; expected a Hugging Face model folder or a .gguf file",
           folder);
  return HfReader(folder).read();
}

}  // namespace lm
