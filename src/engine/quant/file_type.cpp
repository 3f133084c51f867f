#include "engine/quant/file_type.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "engine/core/error.h"

namespace lm {
namespace {

constexpr FileTypeInfo kInfo[] = {
#define LM_FILE_TYPE(name, number, dtype) {#name, number, DType::dtype},
#include "engine/quant/file_type_list.inc"
#undef LM_FILE_TYPE
};

enum class Role { token_embd, q, k, v, qkv, kv_b, attn_output, up, gate, down, output, other };

bool has(std::string_view name, std::string_view part) {
  return name.find(part) != std::string_view::npos;
}

Role role_of(std::string_view name) {
  if (name == "output.weight") return Role::output;
  if (name == "token_embd.weight" || name == "per_layer_token_embd.weight") return Role::token_embd;
  static constexpr std::pair<const char*, Role> kParts[] = {
      {"attn_qkv.weight", Role::qkv}, {"attn_kv_b.weight", Role::kv_b},
      {"attn_v.weight", Role::v},     {"attn_k.weight", Role::k},
      {"attn_q.weight", Role::q},     {"attn_output.weight", Role::attn_output},
      {"ffn_up", Role::up},           {"ffn_gate", Role::gate},
      {"ffn_down", Role::down}};
  for (const auto& [part, role] : kParts)
    if (has(name, part)) return role;
  return Role::other;
}

bool like_v(Role role) {
  return role == Role::v || role == Role::qkv || role == Role::kv_b;
}

int64_t layer_of(std::string_view name) {
  int64_t layer = -1;
  if (name.starts_with("blk.")) std::from_chars(name.data() + 4, name.data() + name.size(), layer);
  return layer;
}

// The state of one run over the tensors: how many of a role came before, as the "more bits" rules
// count.
class Chooser {
 public:
  Chooser(FileType type, const FileTypeModel& model, const std::vector<TensorInfo>& tensors)
      : type_(type), model_(model), falcon_(model.architecture == "falcon") {
    for (const TensorInfo& t : tensors) {
      n_v_ += like_v(role_of(t.name));
      tied_ = tied_ && role_of(t.name) != Role::output;
    }
  }

  DType choose(const TensorInfo& t) {
    const DType base = file_type_info(type_).dtype;
    if (keeps_type(t)) return t.dtype;
    if (!is_quantized(base)) return base;
    return fallback(t, refine(t, base));
  }

 private:
  bool is(std::initializer_list<FileType> types) const {
    return std::find(types.begin(), types.end(), type_) != types.end();
  }
  // The first and the last eighth of the layers, and every third between.
  static bool more_bits(int64_t i, int64_t n) {
    return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
  }
  int64_t gqa() const { return model_.n_heads / std::max<int64_t>(1, model_.n_kv_heads); }

  DType refine(const TensorInfo& t, DType base) {
    const Role role = role_of(t.name);
    if (role == Role::output || (tied_ && role == Role::token_embd)) return for_output(t, base);
    if (type_ == FileType::mxfp4_moe)
      return t.shape.size() >= 3 && t.shape[0] > 1 ? DType::mxfp4 : DType::q8_0;
    if (role == Role::token_embd)
      return is({FileType::tq1_0, FileType::tq2_0, FileType::q2_0}) ? DType::q4_k : base;
    if (like_v(role)) return for_v(base);
    if (role == Role::k) return model_.n_experts == 8 ? DType::q8_0 : base;
    if (role == Role::down) return for_down(t, base);
    if (role == Role::attn_output) return for_attn_output(base);
    return base;
  }

  DType for_output(const TensorInfo& t, DType base) const {
    if (type_ == FileType::mxfp4_moe || falcon_ || t.shape.back() % dtype_info(base).block != 0)
      return DType::q8_0;
    return base == DType::q8_0 ? base : DType::q6_k;
  }

  DType for_v(DType base) {
    const int64_t i = i_v_++;
    DType out = base;
    if (type_ == FileType::q2_k)
      out = gqa() >= 4 ? DType::q4_k : DType::q3_k;
    else if (type_ == FileType::q3_k_m)
      out = i < 2 ? DType::q5_k : DType::q4_k;
    else if (type_ == FileType::q3_k_l)
      out = DType::q5_k;
    else if (is({FileType::iq4_nl, FileType::iq4_xs}) && gqa() >= 4)
      out = DType::q5_k;
    else if (is({FileType::q4_k_m, FileType::q5_k_m}) && more_bits(i, n_v_))
      out = DType::q6_k;
    else if (type_ == FileType::q4_k_s && i < 4)
      out = DType::q5_k;
    // Llama 70B: eight query heads share a v, so v is small.
    if (model_.architecture == "llama" && model_.n_layers == 80 &&
        model_.n_heads != model_.n_kv_heads && (out == DType::q3_k || out == DType::q4_k))
      out = DType::q5_k;
    return model_.n_experts == 8 ? DType::q8_0 : out;
  }

  DType for_down(const TensorInfo& t, DType base) {
    const int64_t n = model_.n_layers, counted = i_down_++;
    const int64_t i = model_.n_experts > 1 ? layer_of(t.name) : counted;
    if (type_ == FileType::q2_k) return DType::q3_k;
    if (type_ == FileType::q3_k_m)
      return i < n / 16 ? DType::q5_k : !falcon_ || more_bits(i, n) ? DType::q4_k : DType::q3_k;
    if (type_ == FileType::q3_k_l) return falcon_ ? DType::q4_k : DType::q5_k;
    if (type_ == FileType::q4_k_m && falcon_)
      return i < n / 16 ? DType::q6_k : more_bits(i, n) ? DType::q5_k : DType::q4_k;
    if (is({FileType::q4_k_m, FileType::q5_k_m}) && more_bits(i, n)) return DType::q6_k;
    if (is({FileType::iq4_nl, FileType::iq4_xs}) && i < n / 8) return DType::q5_k;
    if (type_ == FileType::q4_k_s && !falcon_ && i < n / 8) return DType::q5_k;
    return base;
  }

  DType for_attn_output(DType base) const {
    if (falcon_) return type_ == FileType::q3_k_l ? DType::q4_k : base;
    if (model_.n_experts == 8)
      return is({FileType::q2_k, FileType::q3_k_s, FileType::q3_k_m, FileType::iq4_nl,
                 FileType::q4_k_s, FileType::q4_k_m, FileType::iq4_xs})
                 ? DType::q5_k
                 : base;
    if (type_ == FileType::q2_k) return DType::q3_k;
    if (type_ == FileType::q3_k_m) return DType::q4_k;
    return type_ == FileType::q3_k_l ? DType::q5_k : base;
  }

  static DType fallback(const TensorInfo& t, DType wanted) {
    const int64_t cols = t.shape.back();
    if (cols % dtype_info(wanted).block == 0) return wanted;
    DType smaller = DType::f16;
    switch (wanted) {
      case DType::iq4_xs:
        smaller = DType::iq4_nl;
        break;
      case DType::q2_0:
      case DType::q2_k:
      case DType::q3_k:
      case DType::tq1_0:
      case DType::tq2_0:
        smaller = DType::q4_0;
        break;
      case DType::q4_k:
        smaller = DType::q5_0;
        break;
      case DType::q5_k:
        smaller = DType::q5_1;
        break;
      case DType::q6_k:
        smaller = DType::q8_0;
        break;
      default:
        break;
    }
    return cols % dtype_info(smaller).block == 0 ? smaller : DType::f16;
  }

  FileType type_;
  const FileTypeModel& model_;
  bool falcon_, tied_ = true;
  int64_t n_v_ = 0, i_v_ = 0, i_down_ = 0;
};

}  // namespace

bool keeps_type(const TensorInfo& t) {
  static constexpr const char* kKept[] = {"_norm.weight",
                                          "ffn_gate_inp.weight",
                                          "ffn_gate_tid2eid.weight",
                                          "altup",
                                          "laurel",
                                          "per_layer_model_proj",
                                          "ssm_conv1d",
                                          "shortconv.conv.weight",
                                          "indexer.k_proj.weight",
                                          "indexer.q_proj.weight",
                                          "time_mix_first.weight",
                                          "time_mix_w0.weight",
                                          "time_mix_w1.weight",
                                          "time_mix_w2.weight",
                                          "time_mix_v0.weight",
                                          "time_mix_v1.weight",
                                          "time_mix_v2.weight",
                                          "time_mix_a0.weight",
                                          "time_mix_a1.weight",
                                          "time_mix_a2.weight",
                                          "time_mix_g1.weight",
                                          "time_mix_g2.weight",
                                          "time_mix_decay_w1.weight",
                                          "time_mix_decay_w2.weight",
                                          "time_mix_lerp_fused.weight",
                                          "attn_rel_b.weight",
                                          ".position_embd",
                                          ".rel_pos",
                                          ".patch_embd",
                                          ".patch_merger"};
  // Dimensions of one at the slow end do not count.
  const auto wide = std::find_if(t.shape.begin(), t.shape.end(), [](int64_t d) { return d > 1; });
  if (t.shape.end() - wide < 2 || !t.name.ends_with("weight")) return true;
  if (t.name == "position_embd.weight" || t.name == "token_types.weight") return true;
  return std::any_of(std::begin(kKept), std::end(kKept),
                     [&](const char* part) { return has(t.name, part); });
}

const FileTypeInfo& file_type_info(FileType type) {
  return kInfo[static_cast<size_t>(type)];
}

std::vector<const char*> file_type_names() {
  std::vector<const char*> out;
  for (const FileTypeInfo& info : kInfo) out.push_back(info.name);
  return out;
}

FileType file_type_from_name(std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (size_t i = 0; i < std::size(kInfo); ++i)
    if (lower == kInfo[i].name) return static_cast<FileType>(i);
  raise(ErrorCode::bad_option, "type \"{}\" is not a file type that can be written; known are {}",
        name, fmt::join(file_type_names(), ", "));
}

bool gguf_tensor_order(std::string_view a, std::string_view b) {
  const int64_t i = layer_of(a), j = layer_of(b);
  return i != j ? i < j : a < b;
}

std::vector<DType> choose_types(FileType type, const FileTypeModel& model,
                                const std::vector<TensorInfo>& tensors) {
  Chooser chooser(type, model, tensors);
  std::vector<DType> out;
  for (const TensorInfo& t : tensors) out.push_back(chooser.choose(t));
  return out;
}

}  // namespace lm
