#include "engine/infer/sequence.h"

#include <algorithm>

#include "engine/core/error.h"
#include "engine/models/adapters.h"

namespace lm {

bool Sequence::cacheable(int64_t length) const {
  const ModelSpec& spec = model->spec();
  return !grew_beyond && length <= spec.fixed_rope_length() && spec.causal() && !spec.encoder &&
         spec.n_meta == 0 && n_virtual() == 0 && image_rows.empty();
}

int64_t Sequence::n_virtual() const {
  const VirtualTokens* v = adapters ? adapters->virtual_tokens() : nullptr;
  return v != nullptr ? v->n : 0;
}

std::string Sequence::salt() const {
  std::string out;
  if (adapters)
    for (const auto& adapter : adapters->adapters)
      out += std::to_string(adapter->id) + ",";  // the same name may come back with other weights
  return out;
}

void Sequence::cut(size_t n) {
  if (n < tokens.size() && model->spec().recurrent()) n = 0;
  tokens.resize(n);
  state.truncate(rows());
  while (node != nullptr && node->depth > n_tokens() / kPageTokens) node = node->parent;
  if (n > 0) return;
  node = nullptr;
  grew_beyond = false;
}

void Sequence::drop() {
  cut(0);
  state.pages.resize(0);
  state.start.reset();
}

namespace {

std::shared_ptr<const AdapterSet> choose(const std::shared_ptr<const AdapterSet>& all,
                                         const std::vector<std::string>& names) {
  auto set = std::make_shared<AdapterSet>();
  for (const std::string& name : names) {
    const auto has_name = [&](const auto& adapter) { return adapter->name == name; };
    const auto* list = all ? &all->adapters : &set->adapters;
    const auto found = std::find_if(list->begin(), list->end(), has_name);
    LM_CHECK(all != nullptr && found != list->end(), ErrorCode::not_found,
             "the model has no adapter \"{}\"; add it first", name);
    set->adapters.push_back(*found);
  }
  return set->adapters.empty() ? nullptr : set;
}

void check_one_prompt(const AdapterSet& set) {
  const LoadedAdapter* first = nullptr;
  for (const auto& adapter : set.adapters) {
    if (adapter->virtual_tokens.n == 0) continue;
    LM_CHECK(first == nullptr, ErrorCode::bad_option,
             "the adapters \"{}\" and \"{}\" both put virtual tokens before the text; expected one "
             "of them",
             first->name, adapter->name);
    first = adapter.get();
  }
}

bool same(const std::shared_ptr<const AdapterSet>& a, const std::shared_ptr<const AdapterSet>& b) {
  return a == b || (a && b && a->adapters == b->adapters);
}

}  // namespace

void Sequence::use_adapters() {
  auto now = model->adapters();
  if (chosen_adapters) now = choose(now, *chosen_adapters);
  if (same(now, adapters)) return;
  if (now) check_one_prompt(*now);
  adapters = std::move(now);
  source.clear();
  drop();
  n_ctx = n_positions - n_virtual();
}

int64_t Sequence::n_image_rows() const {
  return static_cast<int64_t>(image_rows.size()) / model->spec().hidden_size;
}

int64_t Sequence::n_image_tokens(std::span<const int32_t> list) const {
  return std::count(list.begin(), list.end(), model->spec().image_token);
}

std::vector<const float*> Sequence::rows_in_place(std::span<const int32_t> part) const {
  const auto width = static_cast<size_t>(model->spec().hidden_size);
  if (image_rows.empty() || n_image_tokens(part) == 0) return {};
  std::vector<const float*> out(part.size(), nullptr);
  size_t at = static_cast<size_t>(n_image_tokens(tokens)) * width;
  for (size_t i = 0; i < part.size() && at < image_rows.size(); ++i)
    if (part[i] == model->spec().image_token) {
      out[i] = image_rows.data() + at;
      at += width;
    }
  return out;
}

}  // namespace lm
