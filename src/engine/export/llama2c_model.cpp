#include "engine/export/llama2c_model.h"

#include <filesystem>

#include "engine/core/error.h"
#include "engine/models/arch.h"
#include "engine/text/tokenizer_llama2c.h"

namespace lm {
namespace fs = std::filesystem;
namespace {

void set_sizes(const Llama2cHeader& h, int64_t head, const std::string& name, GgufMetadata* m) {
  m->set_string("general.architecture", "llama");
  m->set_string("general.type", "model");
  m->set_string("general.name", name);
  for (const auto& [key, value] : std::initializer_list<std::pair<const char*, int64_t>>{
           {"vocab_size", h.vocab_size},
           {"context_length", h.seq_len},
           {"embedding_length", h.dim},
           {"block_count", h.n_layers},
           {"feed_forward_length", h.hidden_dim},
           {"attention.head_count", h.n_heads},
           {"attention.head_count_kv", h.n_kv_heads},
           {"attention.key_length", head},
           {"attention.value_length", head},
           {"rope.dimension_count", head}})
    m->set_u32(std::string("llama.") + key, static_cast<uint64_t>(value));
  m->set_f32("llama.rope.freq_base", 10000.0);
  m->set_f32("llama.attention.layer_norm_rms_epsilon", 1e-5);
}

void set_tokens(const std::string& path, int vocab_size, GgufMetadata* m) {
  const MappedFile file(path);
  const std::vector<Llama2cToken> tokens = read_llama2c_tokens(file.bytes(), path);
  LM_CHECK(static_cast<int>(tokens.size()) == vocab_size, ErrorCode::bad_file,
           "{} has {} tokens; the model has {}", path, tokens.size(), vocab_size);
  std::vector<std::string> texts;
  std::vector<float> scores;
  std::vector<int32_t> types;
  for (const Llama2cToken& t : tokens) {
    texts.push_back(t.text);
    scores.push_back(t.score);
    types.push_back(t.kind == TokenKind::normal    ? 1
                    : t.kind == TokenKind::unknown ? 2
                    : t.kind == TokenKind::control ? 3
                                                   : 6);
  }
  m->set_string("tokenizer.ggml.model", "llama");
  m->set_string("tokenizer.ggml.pre", "default");
  m->set_strings("tokenizer.ggml.tokens", texts);
  m->set_floats("tokenizer.ggml.scores", scores);
  m->set_i32s("tokenizer.ggml.token_type", types);
  m->set_u32("tokenizer.ggml.unknown_token_id", 0);
  m->set_u32("tokenizer.ggml.bos_token_id", 1);
  m->set_u32("tokenizer.ggml.eos_token_id", 2);
  m->set_bool("tokenizer.ggml.add_bos_token", true);
  m->set_bool("tokenizer.ggml.add_eos_token", false);
  m->set_bool("tokenizer.ggml.add_space_prefix", true);
}

}  // namespace

Llama2cModel llama2c_model(const std::string& path) {
  Llama2cModel out;
  Llama2cHeader header;
  out.file = open_llama2c(path, &header);
  if (header.shared_classifier) out.file.tensors.erase("output.weight");
  const int64_t head = config_from_llama2c(header).head_dim;  // with all sizes checked
  set_sizes(header, head, fs::path(path).stem().string(), &out.metadata);
  const fs::path folder = fs::path(path).parent_path();
  for (const std::string& name :
       {"tok" + std::to_string(header.vocab_size) + ".bin", std::string("tokenizer.bin")}) {
    const fs::path beside = folder / name;
    if (!fs::exists(beside)) continue;
    set_tokens(beside.string(), header.vocab_size, &out.metadata);
    return out;
  }
  out.metadata.set_string("tokenizer.ggml.model", "none");
  return out;
}

GgufModel gguf_model(const Llama2cModel& m) {
  GgufModel out;
  out.metadata = m.metadata;
  const auto file = metadata_file(m.metadata);
  const auto size = [&](const char* key) { return file->get_int(key).value_or(0); };
  out.model = {"llama", size("llama.block_count"), 0, size("llama.attention.head_count"),
               size("llama.attention.head_count_kv")};
  out.files = m.file.files;
  for (const auto& [name, view] : m.file.tensors) out.tensors.push_back(stored(name, view));
  return out;
}

}  // namespace lm
