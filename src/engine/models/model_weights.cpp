#include "engine/models/model_weights.h"

#include <fmt/format.h>

#include <cmath>

#include "engine/core/error.h"
#include "engine/models/packer.h"

namespace lm {
namespace {

// A per-head norm has one weight for each element of a head, or of all heads.
NormWeights head_norm(Packer& packer, const NormSpec& spec, int64_t heads, int64_t head_dim) {
  if (spec.kind == NormKind::none) return {};
  if (!spec.weight.empty() && !packer.has(spec.weight)) {  // a tensor for each head (StableLM)
    const std::string stem = spec.weight.substr(0, spec.weight.rfind(".weight"));
    NormWeights all;
    for (int64_t h = 0; h < heads; ++h) {
      const auto w = packer.vector(fmt::format("{}.{}.weight", stem, h), head_dim);
      all.weight.insert(all.weight.end(), w.begin(), w.end());
    }
    return all;
  }
  const int64_t n = spec.weight.empty() ? 0 : packer.find(spec.weight).numel();
  return packer.norm(spec, n == heads * head_dim ? n : head_dim);
}

AttentionWeights pack(Packer& packer, const AttentionSpec& a, int64_t hidden) {
  AttentionWeights w;
  const int64_t q = a.n_heads * a.head_dim, k = a.n_kv_heads * a.head_dim,
                v = a.n_kv_heads * a.value_dim;
  if (a.latent) {
    const LatentSpec& l = *a.latent;
    const int64_t rope = a.rope.dim, heads = a.n_heads;
    if (l.q_a) {
      w.q_a = packer.linear({*l.q_a}, hidden, {l.q_rank});
      w.q_a_norm = packer.norm(l.q_norm, l.q_rank);
    }
    w.q_b = packer.linear({l.q_b}, l.q_a ? l.q_rank : hidden, {q});
    w.kv_a = packer.linear({l.kv_a}, hidden, {l.kv_rank + rope});
    w.kv_a_norm = packer.norm(l.kv_norm, l.kv_rank);
    std::vector<int64_t> rows = {heads * (a.head_dim - rope + a.value_dim)};
    if (l.kv_b.size() > 1) {
      rows.clear();
      for (const LinearSpec& part : l.kv_b) rows.push_back(part.n_rows);
    }
    w.kv_b = packer.linear(l.kv_b, l.kv_rank, rows);
  } else if (a.kv_from >= 0 || a.cross) {
    w.qkv = packer.linear(a.qkv, hidden, {q});
  } else {
    w.qkv = a.qkv.size() == 1 ? packer.linear(a.qkv, hidden, {q + k + v})
                              : packer.linear(a.qkv, hidden, {q, k, v});
  }
  if (a.cross) w.kv = packer.linear(a.kv, hidden, {k, v});
  w.output = packer.linear({a.output}, a.n_heads * a.value_dim, {hidden});
  w.result_norm = packer.norm(a.result_norm, a.n_heads * a.value_dim);
  w.q_norm = head_norm(packer, a.q_norm, a.n_heads, a.head_dim);
  w.k_norm = head_norm(packer, a.k_norm, a.n_kv_heads, a.head_dim);
  w.position_bias = packer.vector(a.position_bias, a.n_heads * a.n_buckets);
  if (!a.position_bias.empty() && !a.position_bias_by_head) {
    const std::vector<float> table = w.position_bias;
    for (int64_t h = 0; h < a.n_heads; ++h)
      for (int64_t b = 0; b < a.n_buckets; ++b)
        w.position_bias[static_cast<size_t>(h * a.n_buckets + b)] =
            table[static_cast<size_t>(b * a.n_heads + h)];
  }
  return w;
}

MlpWeights pack(Packer& packer, const MlpSpec& m, int64_t hidden) {
  return packer.mlp(m, hidden);
}

MoeWeights pack(Packer& packer, const MoeSpec& m, int64_t hidden) {
  MoeWeights w;
  const auto n = static_cast<int64_t>(m.experts.size());
  w.gate = packer.linear({m.gate}, hidden, {n});
  w.choice_bias = packer.vector(m.choice_bias, n);
  for (const MlpSpec& expert : m.experts) w.experts.push_back(packer.mlp(expert, hidden));
  if (m.shared) w.shared = packer.mlp(*m.shared, hidden);
  if (m.shared_gate) w.shared_gate = packer.linear({*m.shared_gate}, hidden, {1});
  return w;
}

// Per-channel kernels [channels, size] as [size, channels]: neighbouring channels are neighbours.
std::vector<float> conv_kernel(Packer& packer, const std::string& name, int64_t channels,
                               int64_t size) {
  const std::vector<float> in = packer.vector(name, channels * size);
  std::vector<float> out(in.size());
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t i = 0; i < size; ++i)
      out[static_cast<size_t>(i * channels + c)] = in[static_cast<size_t>(c * size + i)];
  return out;
}

SsmWeights pack(Packer& packer, const SsmSpec& s, int64_t hidden) {
  SsmWeights w;
  const int64_t inner = s.inner_size, bc = s.n_groups * s.state_size;
  const std::vector<int64_t> rows = s.per_channel()
                                        ? std::vector<int64_t>{inner, inner}
                                        : std::vector<int64_t>{inner, inner, bc, bc, s.n_heads};
  int64_t all = 0;
  for (const int64_t r : rows) all += r;
  w.in = s.in.size() == 1 ? packer.linear(s.in, hidden, {all}) : packer.linear(s.in, hidden, rows);
  w.conv = conv_kernel(packer, s.conv_weight, s.channels(), s.conv_size);
  w.conv_bias = packer.vector(s.conv_bias, s.channels());
  if (s.per_channel()) {
    w.low = packer.linear({s.low}, inner, {s.dt_rank + 2 * s.state_size});
    w.dt = packer.linear({s.dt}, s.dt_rank, {inner});
    w.dt_norm = packer.norm(s.dt_norm, s.dt_rank);
    w.b_norm = packer.norm(s.b_norm, s.state_size);
    w.c_norm = packer.norm(s.c_norm, s.state_size);
  } else {
    w.dt_bias = packer.vector(s.dt_bias, s.n_heads);
  }
  w.norm = packer.norm(s.norm, inner);
  w.a = packer.vector(s.a, s.per_channel() ? inner * s.state_size : s.n_heads);
  if (s.a_is_log)
    for (float& a : w.a) a = -std::exp(a);
  w.d = packer.vector(s.d, s.n_heads);
  w.output = packer.linear({s.output}, inner, {hidden});
  return w;
}

std::vector<float> shift_mix(Packer& packer, const ShiftMixSpec& mix, int64_t c) {
  if (mix.tensor.empty()) return {};
  const int64_t n = packer.find(mix.tensor).numel();
  LM_CHECK(n % c == 0 && (mix.part + 1) * c <= n, ErrorCode::bad_file,
           "tensor \"{}\" has {} values; expected at least {}", mix.tensor, n, (mix.part + 1) * c);
  const std::vector<float> all = packer.vector(mix.tensor, n);
  std::vector<float> out(all.begin() + mix.part * c, all.begin() + (mix.part + 1) * c);
  if (mix.of_previous)
    for (float& m : out) m = 1.0f - m;
  return out;
}

TimeMixWeights pack(Packer& packer, const TimeMixSpec& t, int64_t c) {
  TimeMixWeights w;
  const auto square = [&](const LinearSpec& linear) {
    return linear.weight.empty() ? LinearWeights{} : packer.linear({linear}, c, {c});
  };
  // f2(act(f1(x))): the size between is the file's.
  const auto low_rank = [&](const LinearSpec& one, const LinearSpec& two, LinearWeights* w_one,
                            LinearWeights* w_two) {
    if (one.weight.empty()) return;
    const int64_t rank = packer.find(one.weight).numel() / c;
    *w_one = packer.linear({one}, c, {rank});
    *w_two = packer.linear({two}, rank, {c});
  };
  w.mix_r = shift_mix(packer, t.mix_r, c);
  w.mix_w = shift_mix(packer, t.mix_w, c);
  w.mix_k = shift_mix(packer, t.mix_k, c);
  w.mix_v = shift_mix(packer, t.mix_v, c);
  w.mix_a = shift_mix(packer, t.mix_a, c);
  w.mix_g = shift_mix(packer, t.mix_g, c);
  w.receptance = square(t.receptance);
  w.key = square(t.key);
  w.value = square(t.value);
  w.gate = square(t.gate);
  w.output = square(t.output);
  w.decay = packer.vector(t.decay, c);
  if (t.decay_is_log)
    for (float& d : w.decay) d = t.version == 4 ? -std::exp(d) : std::exp(-std::exp(d));
  w.bonus = packer.vector(t.bonus, c);
  low_rank(t.w1, t.w2, &w.w1, &w.w2);
  low_rank(t.a1, t.a2, &w.a1, &w.a2);
  low_rank(t.v1, t.v2, &w.v1, &w.v2);
  low_rank(t.g1, t.g2, &w.g1, &w.g2);
  for (const auto& [name, to] :
       {std::pair(&t.w0, &w.w0), std::pair(&t.a0, &w.a0), std::pair(&t.v0, &w.v0),
        std::pair(&t.k_k, &w.k_k), std::pair(&t.k_a, &w.k_a), std::pair(&t.r_k, &w.r_k)})
    *to = packer.vector(*name, c);
  w.norm = packer.norm(t.norm, c);
  return w;
}

ChannelMixWeights pack(Packer& packer, const ChannelMixSpec& m, int64_t c) {
  ChannelMixWeights w;
  w.mix_k = shift_mix(packer, m.mix_k, c);
  w.mix_r = shift_mix(packer, m.mix_r, c);
  w.key = packer.linear({m.key}, c, {m.size});
  w.value = packer.linear({m.value}, m.size, {c});
  if (m.receptance) w.receptance = packer.linear({*m.receptance}, c, {c});
  return w;
}

BlockWeights pack(Packer& packer, const Block& block, int64_t hidden) {
  BlockWeights w;
  for (const Branch& branch : block.branches) {
    BranchWeights b;
    b.norm = packer.norm(branch.norm, hidden);
    b.post_norm = packer.norm(branch.post_norm, hidden);
    b.op = std::visit([&](const auto& op) -> OpWeights { return pack(packer, op, hidden); },
                      branch.op);
    w.branches.push_back(std::move(b));
  }
  w.out_norm = packer.norm(block.out_norm, hidden);
  return w;
}

// A table with rows of C values, as floats; the number of rows is the file's.
std::vector<float> table(Packer& packer, const std::string& name, int64_t least_rows, int64_t c) {
  if (name.empty()) return {};
  const TensorView& v = packer.find(name);
  const size_t n = v.shape.size();
  const bool matrix = n == 2 || (n == 3 && v.shape[0] == 1);  // ViT's positions: [1, rows, C]
  LM_CHECK(matrix && v.shape[n - 1] == c && v.shape[n - 2] >= least_rows, ErrorCode::bad_file,
           "tensor \"{}\" has shape {}; expected [at least {}, {}]", name, shape_string(v.shape),
           least_rows, c);
  return packer.vector(name, v.numel());
}

HeadWeights pack(Packer& packer, const HeadSpec& head, int64_t c) {
  HeadWeights w;
  if (head.dense) {
    w.dense = table(packer, head.dense->weight, 1, c);
    c = static_cast<int64_t>(w.dense.size()) / c;
    w.dense_bias = packer.vector(head.dense->bias, c);
  }
  w.norm = packer.norm(head.norm, c);
  w.output = table(packer, head.output.weight, 1, c);
  w.n_labels = static_cast<int64_t>(w.output.size()) / c;
  w.output_bias = packer.vector(head.output.bias, w.n_labels);
  return w;
}

ImageWeights pack(Packer& packer, const ImageInputSpec& image, int64_t c) {
  ImageWeights w;
  w.patch = packer.linear({image.patch}, image.patch_values(), {c});
  w.class_token = packer.vector(image.class_token, c);
  if (image.projector)
    w.projector =
        packer.linear({*image.projector}, c * image.merge * image.merge, {image.projected_size});
  return w;
}

// Another model's weights in the same file; both count.
std::shared_ptr<const ModelWeights> pack_part(Packer& packer, ModelWeights part) {
  packer.n_params += part.n_params;
  packer.packed_bytes += part.packed_bytes;
  return std::make_shared<const ModelWeights>(std::move(part));
}

}  // namespace

ModelWeights pack_weights(const ModelSpec& spec, const TensorFile& file, Precision precision,
                          const std::function<void(double)>& progress, bool measure) {
  Packer packer(file, precision == Precision::exact, measure);
  ModelWeights w;
  w.precision = precision;
  w.files = file.files;
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    w.layers.emplace_back();
    for (const Block& block : spec.layers[i])
      w.layers.back().push_back(pack(packer, block, spec.hidden_size));
    if (progress)
      progress(static_cast<double>(i + 1) / static_cast<double>(spec.layers.size() + 1));
  }
  w.embedding_norm = packer.norm(spec.embedding_norm, spec.hidden_size);
  w.final_norm = packer.norm(spec.final_norm, spec.hidden_size);
  w.positions =
      table(packer, spec.positions, spec.context_length + spec.position_offset, spec.hidden_size);
  w.token_types = table(packer, spec.token_types, 1, spec.hidden_size);
  w.meta_tokens = packer.vector(spec.meta_tokens, spec.n_meta * spec.hidden_size);
  if (spec.image)
    w.image = pack(packer, *spec.image, spec.hidden_size);
  else
    w.embedding_view = packer.source(spec.embedding, spec.vocab_size, spec.hidden_size).view;
  if (spec.output) w.output = packer.linear({*spec.output}, spec.hidden_size, {spec.vocab_size});
  if (spec.head) w.head = pack(packer, *spec.head, spec.hidden_size);
  if (spec.output && spec.output->weight == spec.embedding.weight)
    w.embedding = w.output.parts[0];
  else if (!spec.image)
    packer.n_params += w.embedding_view.numel();
  if (spec.encoder) {
    ModelWeights encoder = pack_weights(*spec.encoder, file, precision, {}, measure);
    if (spec.encoder->embedding.weight == spec.embedding.weight) {  // one table for both
      encoder.n_params -= w.embedding_view.numel();
      encoder.embedding = w.embedding;
    }
    w.encoder = pack_part(packer, std::move(encoder));
  }
  if (spec.vision)
    w.vision = pack_part(packer, pack_weights(*spec.vision, file, precision, {}, measure));
  w.n_params = packer.n_params;
  w.packed_bytes = packer.packed_bytes;
  if (progress) progress(1.0);
  return w;
}

void embedding_row(const ModelWeights& w, int64_t token, float* out) {
  if (w.embedding)
    unpack_row(*w.embedding, token, out);
  else
    to_f32(w.embedding_view, token * w.embedding_view.cols(), w.embedding_view.cols(), out);
}

}  // namespace lm
