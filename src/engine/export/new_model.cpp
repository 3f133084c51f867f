#include "engine/api/new_model.h"

#include <fmt/format.h>

#include <deque>
#include <filesystem>

#include "engine/core/error.h"
#include "engine/export/changed_tensors.h"
#include "engine/export/hf_folder.h"
#include "engine/export/random_weights.h"
#include "engine/export/tokenizer_copy.h"
#include "engine/formats/gguf_writer.h"
#include "engine/models/arch.h"
#include "engine/text/tokenizer.h"

namespace lm {
namespace fs = std::filesystem;
namespace {

// A decoder that can be made from sizes alone. Adding one: a row.
struct NewFamily {
  const char* architecture;
  bool qkv_bias, head_norms;  // of q and k
  bool gpt2;  // LayerNorm, learned positions, fused qkv, plain MLP, biases; else as Llama
};
constexpr NewFamily kFamilies[] = {
    {"llama", false, false, false},
    {"qwen2", true, false, false},
    {"qwen3", false, true, false},
    {"gpt2", true, false, true},
};

const NewFamily& find_family(const std::string& architecture) {
  std::string known;
  for (const NewFamily& f : kFamilies) {
    if (architecture == f.architecture) return f;
    known += (known.empty() ? "" : ", ") + std::string(f.architecture);
  }
  raise(ErrorCode::bad_option,
        "architecture is \"{}\"; expected one of {}, or another model to take the shape of "
        "(`like`)",
        architecture, known);
}

void check_shape(const ModelShape& s) {
  const auto check = [](const char* name, int64_t value, int64_t most) {
    LM_CHECK(value >= 1 && value <= most, ErrorCode::bad_option, "shape.{} is {}; expected 1 to {}",
             name, value, most);
  };
  check("hidden_size", s.hidden_size, 1 << 16);
  check("n_layers", s.n_layers, 1024);
  check("n_heads", s.n_heads, s.hidden_size);
  check("n_kv_heads", s.n_kv_heads, s.n_heads);
  check("head_dim", s.head_dim, 1 << 14);
  check("ffn_size", s.ffn_size, 1 << 20);
  check("context_length", s.context_length, 1 << 24);
  LM_CHECK(s.n_heads % s.n_kv_heads == 0, ErrorCode::bad_option,
           "shape: {} heads cannot share {} kv heads evenly", s.n_heads, s.n_kv_heads);
  LM_CHECK(s.head_dim % 2 == 0, ErrorCode::bad_option,
           "shape.head_dim is {}; expected an even number", s.head_dim);
}

// Names and sizes of the tensors, as GGUF arranges them.
class TensorList {
 public:
  TensorList(const ModelShape& s, const NewFamily& f, int64_t vocab_size) : s_(s), f_(f) {
    add("token_embd.weight", {vocab_size, s.hidden_size});
    if (!s.tie_embeddings) add("output.weight", {vocab_size, s.hidden_size});
    if (f.gpt2) add("position_embd.weight", {s.context_length, s.hidden_size});
    norm("output_norm", s.hidden_size);
    for (int64_t i = 0; i < s.n_layers; ++i) layer(fmt::format("blk.{}.", i));
  }
  TensorMap tensors;  // without bytes

 private:
  void add(const std::string& name, Shape shape) {
    tensors[name] = TensorView{nullptr, DType::f32, std::move(shape)};
  }
  void norm(const std::string& stem, int64_t size) {
    add(stem + ".weight", {size});
    if (f_.gpt2) add(stem + ".bias", {size});
  }
  void linear(const std::string& stem, int64_t out, int64_t in, bool bias) {
    add(stem + ".weight", {out, in});
    if (bias) add(stem + ".bias", {out});
  }
  void layer(const std::string& b) {
    const int64_t c = s_.hidden_size, q = s_.n_heads * s_.head_dim,
                  kv = s_.n_kv_heads * s_.head_dim;
    norm(b + "attn_norm", c);
    norm(b + "ffn_norm", c);
    if (f_.gpt2) {
      linear(b + "attn_qkv", q + 2 * kv, c, true);
    } else {
      linear(b + "attn_q", q, c, f_.qkv_bias);
      linear(b + "attn_k", kv, c, f_.qkv_bias);
      linear(b + "attn_v", kv, c, f_.qkv_bias);
      linear(b + "ffn_gate", s_.ffn_size, c, false);
    }
    if (f_.head_norms) {
      norm(b + "attn_q_norm", s_.head_dim);
      norm(b + "attn_k_norm", s_.head_dim);
    }
    linear(b + "attn_output", c, q, f_.gpt2);
    linear(b + "ffn_up", s_.ffn_size, c, f_.gpt2);
    linear(b + "ffn_down", c, s_.ffn_size, f_.gpt2);
  }
  const ModelShape& s_;
  const NewFamily& f_;
};

GgufMetadata metadata_of(const ModelShape& s, const NewFamily& f, const Tokenizer& tokenizer) {
  GgufMetadata m;
  m.set_string("general.architecture", f.architecture);
  const auto set = [&](const char* name, int64_t value) {
    m.set_u32(fmt::format("{}.{}", f.architecture, name), static_cast<uint64_t>(value));
  };
  set("block_count", s.n_layers);
  set("embedding_length", s.hidden_size);
  set("feed_forward_length", s.ffn_size);
  set("context_length", s.context_length);
  set("attention.head_count", s.n_heads);
  set("attention.head_count_kv", s.n_kv_heads);
  set("attention.key_length", s.head_dim);
  set("attention.value_length", s.head_dim);
  m.set_f32(fmt::format("{}.attention.layer_norm_{}epsilon", f.architecture, f.gpt2 ? "" : "rms_"),
            1e-5);
  if (!f.gpt2) {
    set("rope.dimension_count", s.head_dim);
    m.set_f32(fmt::format("{}.rope.freq_base", f.architecture), s.rope_theta);
  }
  const auto set_id = [&](const char* role, int32_t id) {
    if (id >= 0)
      m.set_u32(fmt::format("tokenizer.ggml.{}_token_id", role), static_cast<uint64_t>(id));
  };
  set_id("bos", tokenizer.bos());
  set_id("eos", tokenizer.eos()[0]);
  set_id("padding", tokenizer.pad());
  return m;
}

NewModelResult from_shape(const NewModelOptions& o) {
  ModelShape s = o.shape;
  const NewFamily& family = find_family(s.architecture);
  if (s.n_kv_heads == 0 || family.gpt2) s.n_kv_heads = s.n_heads;
  if (s.head_dim == 0 && s.n_heads > 0) s.head_dim = s.hidden_size / s.n_heads;
  check_shape(s);
  LM_CHECK(!family.gpt2 || s.head_dim * s.n_heads == s.hidden_size, ErrorCode::bad_option,
           "shape: {} heads of {} are not hidden_size {}", s.n_heads, s.head_dim, s.hidden_size);
  LM_CHECK(!family.gpt2 || s.tie_embeddings, ErrorCode::bad_option,
           "shape.tie_embeddings is false; GPT-2's output matrix is the embedding");
  copy_tokenizer(o.tokenizer, o.folder);
  const auto tokenizer = load_tokenizer_folder(o.folder);
  LM_CHECK(!tokenizer->eos().empty(), ErrorCode::bad_option,
           "tokenizer \"{}\" has no token that ends a text; expected one among its special tokens "
           "(\"<|endoftext|>\")",
           o.tokenizer);
  TensorMap tensors = TensorList(s, family, tokenizer->size()).tensors;
  const auto metadata = metadata_file(metadata_of(s, family, *tokenizer));
  const ModelSpec spec = find_arch(family.architecture)
                             .describe(config_from_gguf(metadata, tokenizer->size()), tensors);
  const RandomWeights weights(spec, o.seed);
  std::deque<std::vector<float>> storage;
  NewModelResult r;
  r.vocab_size = tokenizer->size();
  for (auto& [name, view] : tensors) {
    storage.emplace_back(static_cast<size_t>(view.numel()));
    LM_CHECK(weights.fill(name, storage.back()), ErrorCode::internal,
             "new model: nothing is known about \"{}\"", name);
    view.data = reinterpret_cast<const std::byte*>(storage.back().data());
    r.n_parameters += view.numel();
  }
  WriteOptions write;
  std::vector<std::pair<DType, int64_t>> counts;
  write_hf_folder(metadata, std::move(tensors), std::nullopt, o.folder, write, &counts);
  return r;
}

NewModelResult from_model(const NewModelOptions& o) {
  const OpenedModel opened = open_model(o.like);
  const ModelSpec spec = describe_model(opened);
  LM_CHECK(spec.output && !spec.encoder && !spec.vision, ErrorCode::unsupported,
           "\"{}\" is no decoder of texts; models of its kind cannot be made anew", o.like);
  const RandomWeights weights(spec, o.seed);
  ChangedTensors changed;
  NewModelResult r;
  r.vocab_size = spec.vocab_size;
  for (const auto& [name, view] : opened.file.tensors) {
    r.n_parameters += view.numel();
    changed.change(opened.file.tensors, name, [&, n = name](std::span<float> values, int64_t) {
      LM_CHECK(weights.fill(n, values), ErrorCode::unsupported,
               "models like \"{}\" cannot be made anew: it is not known how \"{}\" begins", o.like,
               n);
    });
  }
  write_changed_model(o.like, changed, o.folder);
  return r;
}

}  // namespace

std::vector<const char*> new_model_architectures() {
  std::vector<const char*> names;
  for (const NewFamily& f : kFamilies) names.push_back(f.architecture);
  return names;
}

NewModelResult write_new_model(const NewModelOptions& o) {
  std::error_code failed;
  fs::create_directories(o.folder, failed);
  LM_CHECK(!failed, ErrorCode::io, "{}: {}", o.folder, failed.message());
  return o.like.empty() ? from_shape(o) : from_model(o);
}

}  // namespace lm
