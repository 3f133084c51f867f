#include "engine/models/adapter_names.h"

#include <algorithm>

#include "engine/core/error.h"
#include "engine/models/layout.h"

namespace lm {
namespace {

// B's rows are those of W: they change order with it.
void reorder_rows(AdapterTensor* t, const std::vector<int64_t>& from) {
  if (from.empty()) return;
  std::vector<float> b(t->b.size());
  for (int64_t r = 0; r < t->out; ++r)
    std::copy_n(t->b.begin() + from[static_cast<size_t>(r)] * t->rank, t->rank,
                b.begin() + r * t->rank);
  t->b = std::move(b);
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
    const bool turned = is_stored_transposed(arch, config, t.name);
    const Shape& s = it->second.shape;
    LM_CHECK(s.size() == 2 && s[turned ? 1 : 0] == t.out && s[turned ? 0 : 1] == t.in,
             ErrorCode::bad_file,
             "adapter \"{}\" changes \"{}\" as [{}, {}]; the model's has shape {}: it was made for "
             "another base{}",
             adapter->name, t.name, t.out, t.in, shape_string(s),
             adapter->base.empty() ? "" : " (" + adapter->base + ")");
    if (adapter->gguf_layout != config.gguf_layout)
      reorder_rows(&t,
                   layout_rows(layout_of(arch, t.name), t.name, t.out, config, config.gguf_layout));
  }
  adapter->gguf_layout = config.gguf_layout;
}

void unfit_adapter(Adapter* adapter, const Arch& arch, const ModelConfig& config) {
  for (AdapterTensor& t : adapter->tensors) {
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
