#include "engine/models/adapters.h"

#include <algorithm>
#include <atomic>
#include <set>

#include "engine/core/error.h"
#include "engine/models/linear_list.h"

namespace lm {
namespace {

LinearWeights pack_floats(const std::vector<float>& values, int64_t rows, int64_t cols) {
  const TensorView view{
      reinterpret_cast<const std::byte*>(values.data()), DType::f32, {rows, cols}};
  const PanelSource source{view, false};
  LinearWeights out;
  out.rows = rows;
  out.cols = cols;
  out.parts.push_back(std::make_shared<const PanelMatrix>(
      pack_panels({&source, 1}, PanelKind::f32, false, ThreadPool::instance())));
  return out;
}

// Where row r of a source lies among those that its linear op writes, from out_row on.
int64_t place_of(const LinearWeights& linear, size_t source, int64_t r) {
  if (!linear.interleaved) return r;
  return r / kPanelRows * 2 * kPanelRows + r % kPanelRows +
         static_cast<int64_t>(source) * kPanelRows;
}

void pack_factors(const AdapterTensor& t, const LinearWeights& linear, size_t source, float scale,
                  int64_t rows, LoraWeights* out) {
  const LinearWeights::Source& s = linear.sources[source];
  out->gain.assign(static_cast<size_t>(rows), 0.0f);
  out->offset.assign(static_cast<size_t>(rows), 0.0f);
  for (int64_t r = 0; r < s.n_rows; ++r) {
    const auto to = static_cast<size_t>(place_of(linear, source, r));
    const float gain = scale * (t.out_factor[static_cast<size_t>(s.tensor_row + r)] - 1.0f);
    out->gain[to] = gain;
    if (t.rank > 0 && !linear.bias.empty())  // gated units, whose rows alternate, have no bias
      out->offset[to] = -gain * linear.bias[static_cast<size_t>(s.row_begin + r)];
  }
}

// Rows of B for one source of a linear op, where that op writes them.
LoraWeights pack(const AdapterTensor& t, const LinearWeights& linear, size_t source, float scale) {
  const LinearWeights::Source& s = linear.sources[source];
  LoraWeights out;
  // Two sources that alternate by panels: the rows of this one, zeros for the other.
  const int64_t rows = linear.interleaved ? linear.parts[0]->rows : s.n_rows;
  out.out_row = linear.interleaved ? 0 : s.row_begin;
  if (!t.out_factor.empty()) pack_factors(t, linear, source, scale, rows, &out);
  if (t.rank == 0) return out;
  out.a = pack_floats(t.a, t.rank, t.in);
  std::vector<float> b(static_cast<size_t>(rows * t.rank));
  for (int64_t r = 0; r < s.n_rows; ++r) {
    const int64_t to = place_of(linear, source, r);
    const float factor =
        scale * t.scale *
        (t.out_factor.empty() ? 1.0f : t.out_factor[static_cast<size_t>(s.tensor_row + r)]) *
        (linear.scale.empty() ? 1.0f : linear.scale[static_cast<size_t>(s.row_begin + r)]);
    for (int64_t i = 0; i < t.rank; ++i)
      b[static_cast<size_t>(to * t.rank + i)] =
          factor * t.b[static_cast<size_t>((s.tensor_row + r) * t.rank + i)];
  }
  out.b = pack_floats(b, rows, t.rank);
  return out;
}

void check_virtual_tokens(const VirtualTokens& v, const std::string& name, float scale,
                          const ModelSpec& spec) {
  if (v.n == 0) return;
  LM_CHECK(spec.causal() && !spec.encoder && spec.n_meta == 0, ErrorCode::unsupported,
           "adapter \"{}\" is made of virtual tokens; they are supported for decoders only", name);
  LM_CHECK(scale == 1.0f, ErrorCode::bad_option,
           "adapter \"{}\" is made of virtual tokens, which are there or not; its scale is {}",
           name, scale);
  LM_CHECK(v.n < spec.context_length, ErrorCode::bad_option,
           "adapter \"{}\" has {} virtual tokens; the model's context is {}", name, v.n,
           spec.context_length);
  if (v.kind != VirtualTokens::Kind::prefix) return;
  int64_t n = 0;
  for_each_branch(spec, [&](const Branch& branch) {
    const auto* a = std::get_if<AttentionSpec>(&branch.op);
    if (a == nullptr) return;
    ++n;
    LM_CHECK(!a->latent && !a->cross && a->kv_from < 0 && a->n_kv_heads == v.n_heads &&
                 a->head_dim == a->value_dim && 2 * v.n_layers * v.n_heads * a->head_dim == v.width,
             ErrorCode::unsupported,
             "adapter \"{}\" is a prefix of keys and values; layers of the model have others",
             name);
  });
  LM_CHECK(n == v.n_layers, ErrorCode::unsupported,
           "adapter \"{}\" is a prefix for {} layers; the model has attention in {}", name,
           v.n_layers, n);
}

}  // namespace

const VirtualTokens* AdapterSet::virtual_tokens() const {
  for (const auto& adapter : adapters)
    if (adapter->virtual_tokens.n > 0) return &adapter->virtual_tokens;
  return nullptr;
}

std::shared_ptr<LoadedAdapter> load_adapter(const Adapter& adapter, const std::string& name,
                                            float scale, const ModelSpec& spec,
                                            const ModelWeights& weights) {
  static std::atomic<uint64_t> last_id{0};
  check_virtual_tokens(adapter.virtual_tokens, name, scale, spec);
  auto out = std::make_shared<LoadedAdapter>();
  out->id = ++last_id;
  out->name = name;
  out->format = adapter.format;
  out->scale = scale;
  out->n_params = adapter.n_params();
  out->virtual_tokens = adapter.virtual_tokens;
  std::unordered_map<std::string_view, const AdapterTensor*> by_name;
  for (const AdapterTensor& t : adapter.tensors) {
    LM_CHECK(t.rank <= kMostRank, ErrorCode::unsupported,
             "adapter \"{}\" has rank {} for \"{}\"; at most {} is supported", name, t.rank, t.name,
             kMostRank);
    by_name.emplace(t.name, &t);
  }
  std::set<std::string_view> used;
  for_each_linear(weights, [&](const LinearWeights& linear) {
    for (size_t i = 0; i < linear.sources.size(); ++i) {
      const auto it = by_name.find(linear.sources[i].tensor);
      if (it == by_name.end()) continue;
      used.insert(it->first);
      out->of_linear[&linear].push_back(pack(*it->second, linear, i, scale));
    }
  });
  for (const auto& [tensor, t] : by_name)
    LM_CHECK(used.contains(tensor), ErrorCode::unsupported,
             "adapter \"{}\" changes \"{}\", which is not a matrix product of the model; adapters "
             "of embeddings and convolutions are not supported",
             name, tensor);
  return out;
}

}  // namespace lm
