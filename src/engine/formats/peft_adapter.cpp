// Folders of PEFT: LoRA with its variants, IA3, prompt and prefix tuning.
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/formats/adapter_parts.h"

namespace lm {

using namespace adapter_parts;
using nlohmann::json;

namespace {

// PEFT's patterns are regular expressions for the end of a module's name. In practice they are
// names, perhaps with "^" in front and "\." for dots: those are understood.
bool matches(std::string pattern, const std::string& module, const std::string& file) {
  const bool whole = pattern.starts_with('^');
  if (whole) pattern.erase(0, 1);
  std::string plain;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\' && i + 1 < pattern.size() && pattern[i + 1] == '.') continue;
    plain += pattern[i];
  }
  LM_CHECK(plain.find_first_of("\\*+?[](){}|^$") == std::string::npos, ErrorCode::unsupported,
           "{}: the pattern \"{}\" is not a module's name; those are supported", file, pattern);
  if (whole) return module == plain;
  return module == plain || module.ends_with("." + plain);
}

constexpr const char* kMarkers[] = {".lora_A",           ".lora_B", ".lora_embedding_A",
                                    ".lora_embedding_B", ".ia3_l",  ".lora_magnitude_vector"};

// "base_model.model.X.lora_A[.adapter].weight" -> module X and which part; false for other names.
bool split_peft_name(std::string_view name, std::string* module, std::string* part) {
  for (const char* marker : kMarkers) {
    const size_t at = name.find(marker);
    if (at == std::string_view::npos) continue;
    const std::string_view rest = name.substr(at + std::string_view(marker).size());
    if (!rest.empty() && rest[0] != '.') continue;
    std::string_view head = name.substr(0, at);
    if (head.starts_with("base_model.model.")) head.remove_prefix(17);
    *module = head;
    *part = marker + 1;
    return true;
  }
  return false;
}

void split_or_refuse(const std::string& tensor, const std::string& file, std::string* module,
                     std::string* part) {
  LM_CHECK(split_peft_name(tensor, module, part), ErrorCode::unsupported,
           "{}: tensor \"{}\" is not part of a LoRA pair; biases and whole modules in adapters are "
           "not supported",
           file, tensor);
}

// PiSSA and the like change the base; such an adapter means nothing beside the base as it was.
void check_init(const json& config, const std::string& file) {
  const std::string init = string_or(config, "init_lora_weights", "");
  for (const char* changing : {"pissa", "olora", "corda", "loftq", "lora_ga"})
    LM_CHECK(!init.starts_with(changing), ErrorCode::unsupported,
             "{}: init_lora_weights is \"{}\", which changed the base model; expected an adapter "
             "for the base as it was (PEFT's save_pretrained(..., "
             "path_initial_model_for_weight_conversion=...) writes one)",
             file, init);
}

class LoraReader {
 public:
  LoraReader(const json& config, const std::string& file)
      : config_(config),
        file_(file),
        alpha_(number_or(config, "lora_alpha", 8, file)),
        rslora_(flag(config, "use_rslora")),
        patterns_(config.value("alpha_pattern", json())) {
    check_init(config, file);
  }

  void read(const TensorMap& tensors, Adapter* out) {
    for (const auto& [tensor, view] : tensors) take(tensor, view);
    for (auto& [module, pair] : pairs_) out->tensors.push_back(join(module, &pair));
    LM_CHECK(magnitudes_.empty(), ErrorCode::bad_file,
             "{}: \"{}\" has a magnitude without the matrices A and B", file_,
             magnitudes_.empty() ? "" : magnitudes_.begin()->first);
  }

 private:
  void take(const std::string& tensor, const TensorView& view) {
    std::string module, part;
    split_or_refuse(tensor, file_, &module, &part);
    LM_CHECK(part != "ia3_l", ErrorCode::bad_file, "{}: \"{}\" in an adapter of type LORA", file_,
             tensor);
    if (part == "lora_magnitude_vector") {
      magnitudes_[module] = read_vector(view, tensor, file_);
      return;
    }
    Matrix m = read_matrix(view, tensor, file_);
    auto& [a, b] = pairs_[module];
    // An embedding W [vocabulary, size] is changed by the transpose of B A.
    if (part == "lora_embedding_A")
      b = m.transposed();
    else if (part == "lora_embedding_B")
      a = m.transposed();
    else
      (part == "lora_A" ? a : b) = std::move(m);
  }

  AdapterTensor join(const std::string& module, std::pair<Matrix, Matrix>* pair) {
    AdapterTensor t =
        make_tensor(module + ".weight", std::move(pair->first), std::move(pair->second), file_);
    double alpha = alpha_;
    if (patterns_.is_object())
      for (const auto& [pattern, value] : patterns_.items())
        if (matches(pattern, module, file_))
          alpha = number_or(patterns_, pattern.c_str(), alpha_, file_);
    const auto rank = static_cast<double>(t.rank);
    t.scale = static_cast<float>(alpha / (rslora_ ? std::sqrt(rank) : rank));
    if (auto magnitude = magnitudes_.extract(module)) t.magnitude = std::move(magnitude.mapped());
    LM_CHECK(t.magnitude.empty() ? !flag(config_, "use_dora")
                                 : static_cast<int64_t>(t.magnitude.size()) == t.out,
             ErrorCode::bad_file, "{}: \"{}\" has {} magnitudes; expected {} (DoRA)", file_, module,
             t.magnitude.size(), t.out);
    return t;
  }

  const json& config_;
  const std::string& file_;
  double alpha_;
  bool rslora_;
  json patterns_;
  Pairs pairs_;  // by module
  std::map<std::string, std::vector<float>> magnitudes_;
};

void read_ia3(const TensorMap& tensors, const std::string& file, Adapter* out) {
  for (const auto& [tensor, view] : tensors) {
    std::string module, part;
    split_or_refuse(tensor, file, &module, &part);
    LM_CHECK(part == "ia3_l" && view.shape.size() == 2, ErrorCode::bad_file,
             "{}: \"{}\" with shape {} in an adapter of type IA3", file, tensor,
             shape_string(view.shape));
    AdapterTensor t;
    t.name = module + ".weight";
    (view.shape[1] == 1 ? t.out : t.in) = view.numel();
    (view.shape[1] == 1 ? t.out_factor : t.in_factor) = read_vector(view, tensor, file);
    out->tensors.push_back(std::move(t));
  }
}

void read_virtual_tokens(const json& config, const TensorMap& tensors, const std::string& file,
                         Adapter* out) {
  const auto it = tensors.find("prompt_embeddings");
  LM_CHECK(it != tensors.end() && tensors.size() == 1, ErrorCode::bad_file,
           "{}: expected the one tensor \"prompt_embeddings\"", file);
  Matrix m = read_matrix(it->second, it->first, file);
  VirtualTokens& v = out->virtual_tokens;
  v.n = m.rows;
  v.width = m.cols;
  v.values = std::move(m.values);
  LM_CHECK(v.n > 0 && static_cast<double>(v.n) ==
                          number_or(config, "num_virtual_tokens", static_cast<double>(v.n), file),
           ErrorCode::bad_file, "{}: {} virtual tokens; num_virtual_tokens says otherwise", file,
           v.n);
  if (v.kind != VirtualTokens::Kind::prefix) return;
  const auto count = [&](const char* key) {
    const double n = number_or(config, key, 0, file);
    return n >= 1 && n <= 1e5 ? static_cast<int64_t>(n) : 0;
  };
  v.n_layers = count("num_layers");
  v.n_heads = count("num_attention_heads");
  LM_CHECK(v.n_layers > 0 && v.n_heads > 0 && v.width % (2 * v.n_layers * v.n_heads) == 0,
           ErrorCode::bad_file,
           "{}: prompt_embeddings has {} columns; expected 2 * num_layers ({}) * "
           "num_attention_heads ({}) * size of a head",
           file, v.width, v.n_layers, v.n_heads);
}

}  // namespace

Adapter parse_peft_adapter(std::string_view text, const TensorMap& tensors,
                           const std::string& name) {
  const json config = config_object(text, name);
  const std::string type = string_or(config, "peft_type", "LORA");
  Adapter out;
  out.name = name;
  out.format = "peft";
  out.base = string_or(config, "base_model_name_or_path", "");
  if (type == "LORA") {
    LoraReader(config, name).read(tensors, &out);
  } else if (type == "IA3") {
    read_ia3(tensors, name, &out);
  } else if (type == "PROMPT_TUNING" || type == "PREFIX_TUNING") {
    out.virtual_tokens.kind =
        type == "PREFIX_TUNING" ? VirtualTokens::Kind::prefix : VirtualTokens::Kind::prompt;
    read_virtual_tokens(config, tensors, name, &out);
  } else {
    raise(ErrorCode::unsupported,
          "{}: peft_type is \"{}\"; LORA (DoRA and rsLoRA too), IA3, PROMPT_TUNING and "
          "PREFIX_TUNING are supported",
          name, type);
  }
  sort_by_name(&out);
  return out;
}

}  // namespace lm
