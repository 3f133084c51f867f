#include "engine/models/adapter_names.h"

#include <algorithm>
#include <set>

#include "engine/core/error.h"
#include "engine/models/adapter_rows.h"
#include "engine/models/layout.h"

namespace lm {
namespace {

// Rows of `width` numbers change order.
void reorder(std::vector<float>* rows, const std::vector<int64_t>& from, int64_t width) {
  if (rows->empty()) return;
  std::vector<float> out(rows->size());
  for (size_t r = 0; r < from.size(); ++r)
    std::copy_n(rows->begin() + from[r] * width, width,
                out.begin() + static_cast<int64_t>(r) * width);
  *rows = std::move(out);
}

// B's rows and their factors are those of W: they change order with it.
void reorder_rows(AdapterTensor* t, const std::vector<int64_t>& from) {
  if (from.empty()) return;
  reorder(&t->b, from, t->rank);
  reorder(&t->magnitude, from, 1);
  reorder(&t->out_factor, from, 1);
}

// turned: the model has the matrix as [in, out]. A side of 0 is not known.
void check_shape(const Adapter& adapter, const AdapterTensor& t, const Shape& shape, bool turned) {
  const bool fits = shape.size() == 2 && (t.out == 0 || shape[turned ? 1 : 0] == t.out) &&
                    (t.in == 0 || shape[turned ? 0 : 1] == t.in);
  LM_CHECK(fits, ErrorCode::bad_file,
           "adapter \"{}\" changes \"{}\" as [{}, {}]; the model's has shape {}: it was made for "
           "another base{}",
           adapter.name, t.name, t.out, t.in, shape_string(shape),
           adapter.base.empty() ? "" : " (" + adapter.base + ")");
}

Layout layout_of(const Arch& arch, const std::string& tensor) {
  std::string_view layer, expert;
  const NameRule* rule = find_rule(arch, tensor, &layer, &expert);
  return rule ? rule->layout : Layout::same;
}

// Keys are in the order of the rows of their matrix: that changes between the families.
void reorder_prefix(VirtualTokens* v, const Arch& arch, const ModelConfig& config, bool to_gguf) {
  if (v->kind != VirtualTokens::Kind::prefix) return;
  const int64_t width = v->width / (2 * v->n_layers);
  for (int64_t layer = 0; layer < v->n_layers; ++layer) {
    const std::string name = "blk." + std::to_string(layer) + ".attn_k.weight";
    const auto from = layout_rows(layout_of(arch, name), name, width, config, to_gguf);
    if (from.empty()) return;
    for (int64_t t = 0; t < v->n; ++t) {
      const auto begin = v->values.begin() + t * v->width + 2 * layer * width;
      std::vector<float> keys(begin, begin + width);
      reorder(&keys, from, 1);
      std::copy(keys.begin(), keys.end(), begin);
    }
  }
}

void check_virtual_tokens(const Adapter& adapter, const ModelConfig& config) {
  const VirtualTokens& v = adapter.virtual_tokens;
  if (v.n == 0) return;
  const bool prefix = v.kind == VirtualTokens::Kind::prefix;
  const int64_t width =
      prefix ? 2 * config.n_layers * config.n_kv_heads * config.head_dim : config.hidden_size;
  LM_CHECK(v.width == width &&
               (!prefix || (v.n_layers == config.n_layers && v.n_heads == config.n_kv_heads)),
           ErrorCode::bad_file,
           "adapter \"{}\" has virtual tokens of {} numbers; the model takes {}: it was made for "
           "another base{}",
           adapter.name, v.width, width, adapter.base.empty() ? "" : " (" + adapter.base + ")");
}

}  // namespace

bool is_stored_transposed(const Arch& arch, const ModelConfig& config, const std::string& tensor) {
  return layout_of(arch, tensor) == Layout::transposed && !config.gguf_layout;
}

void fit_adapter(Adapter* adapter, const Arch& arch, const ModelConfig& config,
                 const TensorMap& base) {
  LM_CHECK(adapter->architecture.empty() || adapter->architecture == arch.name,
           ErrorCode::unsupported, "adapter \"{}\" is for {}; the model is {}", adapter->name,
           adapter->architecture, arch.name);
  for (AdapterTensor& t : adapter->tensors) {
    if (!adapter->gguf_layout) t.name = rename_tensor(arch, t.name);
    const auto it = base.find(t.name);
    LM_CHECK(
        it != base.end(), ErrorCode::bad_file,
        "adapter \"{}\" changes \"{}\", which the model does not have; it was made for another "
        "base{}",
        adapter->name, t.name, adapter->base.empty() ? "" : " (" + adapter->base + ")");
    check_shape(*adapter, t, it->second.shape, is_stored_transposed(arch, config, t.name));
    move_input_factor(&t, base);
    if (adapter->gguf_layout != config.gguf_layout)
      reorder_rows(&t,
                   layout_rows(layout_of(arch, t.name), t.name, t.out, config, config.gguf_layout));
  }
  check_virtual_tokens(*adapter, config);
  if (adapter->gguf_layout != config.gguf_layout)
    reorder_prefix(&adapter->virtual_tokens, arch, config, config.gguf_layout);
  adapter->gguf_layout = config.gguf_layout;
  std::set<std::string_view> names;
  for (const AdapterTensor& t : adapter->tensors)
    LM_CHECK(names.insert(t.name).second, ErrorCode::unsupported,
             "adapter \"{}\" changes \"{}\" twice (its rows and the inputs of the next matrix)",
             adapter->name, t.name);
}

void unfit_adapter(Adapter* adapter, const Arch& arch, const ModelConfig& config) {
  for (AdapterTensor& t : adapter->tensors) {
    restore_input_factor(&t);
    std::string_view layer, expert;
    const NameRule* rule = find_rule(arch, t.name, &layer, &expert);
    LM_CHECK(rule != nullptr, ErrorCode::unsupported,
             "tensor \"{}\" has no name in Hugging Face's checkpoints of {}", t.name, arch.name);
    if (config.gguf_layout)
      reorder_rows(&t, layout_rows(rule->layout, t.name, t.out, config, /*to_gguf=*/false));
    t.name = hf_name(*rule, layer, expert);
  }
  if (config.gguf_layout) reorder_prefix(&adapter->virtual_tokens, arch, config, /*to_gguf=*/false);
  adapter->gguf_layout = false;
}

}  // namespace lm
