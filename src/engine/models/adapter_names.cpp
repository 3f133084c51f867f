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
  adapter->gguf_layout = false;
}

}  // namespace lm
