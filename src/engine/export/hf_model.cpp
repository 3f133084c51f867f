#include "engine/export/hf_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "engine/core/error.h"
#include "engine/models/arch.h"
#include "engine/models/layout.h"

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

// "blk.0.ffn_gate.3.weight" -> "blk.0.ffn_gate_exps.weight" and 3; false for other names.
bool expert_name(const std::string& name, std::string* stacked, int* expert) {
  for (const char* part : {".ffn_gate.", ".ffn_up.", ".ffn_down."}) {
    const size_t at = name.find(part);
    if (at == std::string::npos) continue;
    const size_t digits = at + std::string_view(part).size();
    const size_t end = name.find_first_not_of("0123456789", digits);
    if (end == digits || end == std::string::npos) continue;
    *expert = std::stoi(name.substr(digits, std::min<size_t>(end - digits, 6)));
    *stacked = name.substr(0, digits - 1) + "_exps" + name.substr(end);
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
        spec_(arch_.describe(config_, rename_tensors(arch_, file_.tensors))) {}

  GgufModel read() {
    out_.files = file_.files;
    out_.model = {arch_.name, config_.n_layers, 0, config_.n_heads, config_.n_kv_heads};
    add_tensors();
    add_rope_factors();
    set_config();
    set_tokenizer(folder_, config_.vocab_size, &out_.metadata);
    return std::move(out_);
  }

 private:
  void add_tensors() {
    std::map<std::string, std::map<int, TensorView>> experts;
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
      std::string stacked_name;
      int index = 0;
      if (expert_name(name, &stacked_name, &index))
        experts[stacked_name][index] = view;
      else
        add(laid_out(name, view, rule->layout));
    }
    for (const auto& [name, parts] : experts) {
      std::vector<TensorView> views;
      for (const auto& [index, view] : parts) {
        LM_CHECK(index == static_cast<int>(views.size()), ErrorCode::bad_file,
                 "expert {} of \"{}\" is missing", views.size(), name);
        views.push_back(view);
      }
      out_.model.n_experts = static_cast<int64_t>(views.size());
      add(stacked(name, std::move(views)));
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
    return stored(name, view);
  }

  // What quantising leaves alone is f32 in GGUF files, as llama.cpp expects it.
  void add(ExportTensor t) {
    if (t.shape.empty()) t.shape = {1};
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
    const RopeSpec* rope = first_rope();
    if (rope == nullptr) return;
    std::vector<float> factors;
    for (size_t i = 0; i < rope->frequencies.size(); ++i)
      factors.push_back(
          static_cast<float>(std::pow(config_.rope_theta, -2.0 * static_cast<double>(i) /
                                                              static_cast<double>(rope->dim)) /
                             rope->frequencies[i]));
    add_factors("rope_freqs.weight", std::move(factors));
  }
  const RopeSpec* first_rope() const {
    for (const auto& layer : spec_.layers)
      for (const Block& block : layer)
        for (const Branch& branch : block.branches)
          if (const auto* a = std::get_if<AttentionSpec>(&branch.op); a && a->rope.dim > 0)
            return &a->rope;
    return nullptr;
  }

  // Metadata --------------------------------------------------------------------------------------

  std::string key(std::string_view k) const {
    return std::string(arch_.name) + "." + std::string(k);
  }

  void set_config() {
    GgufMetadata& m = out_.metadata;
    m.set_string("general.architecture", arch_.name);
    m.set_string("general.type", "model");
    m.set_string("general.name",
                 fs::path(fs::absolute(folder_)).lexically_normal().filename().string());
    for (const auto& [name, value] : std::initializer_list<std::pair<const char*, int64_t>>{
             {"vocab_size", config_.vocab_size},
             {"context_length", config_.context_length},
             {"embedding_length", config_.hidden_size},
             {"block_count", config_.n_layers},
             {"feed_forward_length", config_.ffn_size},
             {"attention.head_count", config_.n_heads},
             {"attention.head_count_kv", config_.n_kv_heads}})
      m.set_u32(key(name), static_cast<uint64_t>(value));
    const bool rms = spec_.final_norm.kind == NormKind::rms;
    m.set_f32(key(rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon"),
              config_.norm_eps);
    if (first_rope() != nullptr) {
      m.set_u32(key("rope.dimension_count"), static_cast<uint64_t>(config_.rope_dim));
      m.set_f32(key("rope.freq_base"), config_.rope_theta);
      m.set_u32(key("attention.key_length"), static_cast<uint64_t>(config_.head_dim));
      m.set_u32(key("attention.value_length"), static_cast<uint64_t>(config_.head_dim));
    }
    const std::set<std::string> done = {"vocab_size",
                                        "context_length",
                                        "embedding_length",
                                        "block_count",
                                        "feed_forward_length",
                                        "attention.head_count",
                                        "attention.head_count_kv",
                                        "attention.layer_norm_rms_epsilon",
                                        "attention.layer_norm_epsilon",
                                        "rope.dimension_count",
                                        "attention.key_length"};
    for (const auto& q : config_.source->asked())
      if (!q.gguf.empty() && !q.gguf.starts_with("general.") && !done.contains(q.gguf))
        set_answer(q);
  }

  // Only what the architecture read is copied, in the type it was asked as.
  void set_answer(const ConfigSource::Question& q) {
    using Kind = ConfigSource::Kind;
    const std::string& scaling = config_.rope_scaling.type;
    if (q.gguf.starts_with("rope.scaling.") && (scaling == "none" || scaling == "llama3")) return;
    if (q.gguf == "attention.sliding_window" && config_.sliding_window == 0) return;
    LM_CHECK(q.gguf != "rope.scaling.type" || scaling != "dynamic", ErrorCode::unsupported,
             "GGUF files have no dynamic RoPE scaling; this model cannot be converted");
    const ConfigSource& s = *config_.source;
    const std::string name = key(q.gguf);
    GgufMetadata& m = out_.metadata;
    if (!s.has(q.hf, q.gguf)) return;
    if (q.kind == Kind::integer) m.set_u32(name, static_cast<uint64_t>(*s.integer(q.hf, q.gguf)));
    if (q.kind == Kind::real) m.set_f32(name, *s.real(q.hf, q.gguf));
    if (q.kind == Kind::flag) m.set_bool(name, *s.flag(q.hf, q.gguf));
    if (q.kind == Kind::text) m.set_string(name, *s.text(q.hf, q.gguf));
    if (q.kind == Kind::texts) m.set_strings(name, s.texts(q.hf, q.gguf));
    if (q.kind != Kind::numbers) return;
    const std::vector<double> x = s.numbers(q.hf, q.gguf);
    if (std::all_of(x.begin(), x.end(), [](double v) { return v == std::floor(v); }))
      m.set_i32s(name, std::vector<int32_t>(x.begin(), x.end()));
    else
      m.set_floats(name, std::vector<float>(x.begin(), x.end()));
  }

  std::string folder_;
  ModelConfig config_;
  const Arch& arch_;
  TensorFile file_;
  ModelSpec spec_;
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
