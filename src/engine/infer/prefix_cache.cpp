#include "engine/infer/prefix_cache.h"

#include <algorithm>

namespace lm {
namespace {

int64_t common(std::span<const int32_t> a, std::span<const int32_t> b) {
  const size_t n = std::min(a.size(), b.size());
  return std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(n), b.begin()).first -
         a.begin();
}

// f(node) for every node below `node`.
template <typename F>
void for_each_below(PrefixCache::Node& node, const F& f) {
  for (const auto& child : node.children) {
    for_each_below(*child, f);
    f(*child);
  }
}

}  // namespace

PrefixCache::~PrefixCache() {
  for (auto& [salt, root] : roots_)
    for_each_below(root, [&](Node& node) { pages_.release(node.page); });
}

PrefixCache::Match PrefixCache::match(const std::string& salt, std::span<const int32_t> tokens,
                                      bool with_state) {
  Node* node = &roots_[salt];
  Match best{node, nullptr, 0};
  ++clock_;
  for (;;) {
    const auto rest = tokens.subspan(static_cast<size_t>(node->depth * kPageTokens));
    Node *whole = nullptr, *partly = nullptr;
    int64_t most = 0;
    for (const auto& child : node->children) {
      const int64_t n = common(child->tokens, rest);
      if (n == kPageTokens) whole = child.get();
      if (n > most) {
        most = n;
        partly = child.get();
      }
    }
    if (whole == nullptr) {
      if (!with_state && partly != nullptr) {
        best.partly = partly;
        best.partly_tokens = most;
        partly->last_use = clock_;
      }
      return best;
    }
    node = whole;
    node->last_use = clock_;
    if (!with_state || node->state) best.node = node;
  }
}

bool PrefixCache::supersede_ends(Node* node, std::span<const int32_t> tokens) {
  std::vector<Node*> shorter;
  bool known = false;
  for (const auto& child : node->children) {
    const int64_t n = common(child->tokens, tokens);
    if (n == static_cast<int64_t>(tokens.size()))
      known = true;
    else if (n == static_cast<int64_t>(child->tokens.size()))
      shorter.push_back(child.get());
  }
  for (Node* end : shorter) remove(end);
  return known;
}

void PrefixCache::insert_end(Node* node, std::span<const int32_t> tokens, int32_t page) {
  if (!supersede_ends(node, tokens)) insert(node, tokens, page);
}

PrefixCache::Node* PrefixCache::insert(Node* node, std::span<const int32_t> tokens, int32_t page) {
  ++clock_;
  for (const auto& child : node->children)
    if (std::equal(tokens.begin(), tokens.end(), child->tokens.begin(), child->tokens.end())) {
      child->last_use = clock_;
      return child.get();
    }
  supersede_ends(node, tokens);
  auto made = std::make_unique<Node>();
  made->parent = node;
  made->tokens.assign(tokens.begin(), tokens.end());
  made->page = page;
  made->depth = node->depth + 1;
  made->last_use = clock_;
  pages_.retain(page);
  ++n_pages_;
  node->children.push_back(std::move(made));
  return node->children.back().get();
}

void PrefixCache::keep_state(Node* node, const RecurrentState& state) {
  if (node->state) {
    with_states_.remove(node);
  } else if (with_states_.size() == kMostStates) {
    with_states_.front()->state.reset();
    with_states_.pop_front();
  }
  node->state = std::make_unique<RecurrentState>(state);
  with_states_.push_back(node);
}

void PrefixCache::remove(Node* node) {
  pages_.release(node->page);
  --n_pages_;
  if (node->state) with_states_.remove(node);
  auto& siblings = node->parent->children;
  siblings.remove_if([&](const auto& child) { return child.get() == node; });
}

bool PrefixCache::evict() {
  Node* oldest = nullptr;
  for (auto& [salt, root] : roots_)
    for_each_below(root, [&](Node& node) {
      if (!node.children.empty() || pages_.shared(node.page)) return;
      if (oldest == nullptr || node.last_use < oldest->last_use) oldest = &node;
    });
  if (oldest == nullptr) return false;
  remove(oldest);
  return true;
}

}  // namespace lm
