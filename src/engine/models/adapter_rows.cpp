#include "engine/models/adapter_rows.h"

#include <cmath>

#include "engine/core/error.h"
#include "engine/core/thread_pool.h"
#include "engine/kernels/cpu/to_f32.h"
#include "engine/models/adapter_names.h"

namespace lm {
namespace {

constexpr const char* kUp = ".ffn_up.weight";
constexpr const char* kDown = ".ffn_down.weight";

std::string swap_end(const std::string& name, std::string_view from, std::string_view to) {
  return name.substr(0, name.size() - from.size()) + std::string(to);
}

// W of the adapter's matrix as rows [out, in].
std::vector<float> rows_of(const AdapterTensor& t, const TensorView& view, bool turned) {
  check_to_f32(view.dtype);
  std::vector<float> w(static_cast<size_t>(view.numel()));
  to_f32(view, 0, view.numel(), w.data());
  if (!turned) return w;
  std::vector<float> rows(w.size());
  for (int64_t i = 0; i < t.in; ++i)
    for (int64_t o = 0; o < t.out; ++o)
      rows[static_cast<size_t>(o * t.in + i)] = w[static_cast<size_t>(i * t.out + o)];
  return rows;
}

// Adds scale B A to row r and returns its length.
double adapted_length(const AdapterTensor& t, int64_t r, float* row) {
  for (int64_t k = 0; k < t.rank; ++k) {
    const float b = t.scale * t.b[static_cast<size_t>(r * t.rank + k)];
    const float* a = t.a.data() + k * t.in;
    for (int64_t c = 0; c < t.in; ++c) row[c] += b * a[c];
  }
  double sum = 0;
  for (int64_t c = 0; c < t.in; ++c)
    sum += static_cast<double>(row[c]) * static_cast<double>(row[c]);
  return std::sqrt(sum);
}

}  // namespace

void resolve_magnitudes(Adapter* adapter, const Arch& arch, const ModelConfig& config,
                        const TensorMap& base) {
  for (AdapterTensor& t : adapter->tensors) {
    if (t.magnitude.empty()) continue;
    std::vector<float> w = rows_of(t, base.at(t.name), is_stored_transposed(arch, config, t.name));
    t.out_factor.resize(t.magnitude.size());
    ThreadPool::instance().run([&](Region& region) {
      region.share(t.out, 16, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          const double length = adapted_length(t, r, w.data() + r * t.in);
          t.out_factor[static_cast<size_t>(r)] =
              length > 0 ? static_cast<float>(
                               static_cast<double>(t.magnitude[static_cast<size_t>(r)]) / length)
                         : 0.0f;
        }
      });
    });
    t.magnitude.clear();
  }
}

void move_input_factor(AdapterTensor* t, const TensorMap& base) {
  if (t->in_factor.empty()) return;
  const std::string up = t->name.ends_with(kDown) ? swap_end(t->name, kDown, kUp) : "";
  const std::string gate = up.empty() ? "" : swap_end(up, kUp, ".ffn_gate.weight");
  LM_CHECK(base.contains(up) && base.contains(gate), ErrorCode::unsupported,
           "IA3 scales the inputs of \"{}\"; that is supported for the last matrix of gated "
           "feed-forward blocks with gate and up apart",
           t->name);
  t->name = up;
  t->out = t->in;
  t->in = 0;
  t->out_factor = std::move(t->in_factor);
  t->in_factor.clear();
}

void restore_input_factor(AdapterTensor* t) {
  if (t->rank > 0 || !t->name.ends_with(kUp)) return;
  t->name = swap_end(t->name, kUp, kDown);
  t->in = t->out;
  t->out = 0;
  t->in_factor = std::move(t->out_factor);
  t->out_factor.clear();
}

}  // namespace lm
