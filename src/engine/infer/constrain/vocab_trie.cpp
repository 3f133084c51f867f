#include "engine/infer/constrain/vocab_trie.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "engine/core/error.h"
#include "engine/text/tokenizer.h"

namespace lm {
namespace {

constexpr size_t kMaxSharedBytes = size_t{32} << 20;

}  // namespace

VocabTrie::VocabTrie(const Tokenizer& tokenizer) {
  const int32_t n = tokenizer.size();
  offsets_.reserve(static_cast<size_t>(n) + 1);
  offsets_.push_back(0);
  for (int32_t id = 0; id < n; ++id) {
    if (tokenizer.is_special(id)) {
      text_ += kControlByte;
      text_ += tokenizer.token_text(id);
    } else {
      text_ += tokenizer.token_bytes(id);
    }
    offsets_.push_back(static_cast<uint32_t>(text_.size()));
  }
  std::vector<int32_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    const int cmp = bytes(a).compare(bytes(b));
    return cmp != 0 ? cmp < 0 : a < b;
  });
  nodes_.emplace_back();
  std::vector<uint32_t> path{0};  // nodes from the root to the last token
  std::string_view last;
  for (const int32_t id : order) {
    const std::string_view key = bytes(id);
    if (key.empty() || key.size() > 60000) continue;
    size_t common = 0;
    while (common < key.size() && common < last.size() && key[common] == last[common]) ++common;
    while (path.size() > common + 1) {
      nodes_[path.back()].end = static_cast<uint32_t>(nodes_.size());
      path.pop_back();
    }
    for (size_t i = common; i < key.size(); ++i) {
      path.push_back(static_cast<uint32_t>(nodes_.size()));
      nodes_.push_back({0, -1, static_cast<uint16_t>(i + 1), static_cast<uint8_t>(key[i])});
    }
    max_depth_ = std::max(max_depth_, static_cast<int>(key.size()));
    int32_t& token = nodes_[path.back()].token;
    if (token == -1) {
      token = id;
    } else if (token >= 0) {
      lists_.push_back({token, id});
      token = -1 - static_cast<int32_t>(lists_.size());
    } else {
      lists_[static_cast<size_t>(-2 - token)].push_back(id);
    }
    last = key;
  }
  for (const uint32_t node : path) nodes_[node].end = static_cast<uint32_t>(nodes_.size());
}

uint32_t VocabTrie::child(uint32_t node, uint8_t byte) const {
  for (uint32_t i = node + 1; i < nodes_[node].end; i = nodes_[i].end)
    if (nodes_[i].byte == byte) return i;
  return 0;
}

std::shared_ptr<VocabTrie> VocabTrie::of(const std::shared_ptr<const Tokenizer>& tokenizer) {
  struct Entry {
    std::weak_ptr<const Tokenizer> tokenizer;
    std::shared_ptr<VocabTrie> trie;
  };
  static std::mutex mutex;
  static std::map<const Tokenizer*, Entry> tries;
  const std::lock_guard lock(mutex);
  std::erase_if(tries, [](const auto& entry) { return entry.second.tokenizer.expired(); });
  Entry& entry = tries[tokenizer.get()];
  if (!entry.trie) entry = {tokenizer, std::make_shared<VocabTrie>(*tokenizer)};
  return entry.trie;
}

std::shared_ptr<const LocalMask> VocabTrie::shared(
    std::pair<uint64_t, uint64_t> fingerprint) const {
  const std::lock_guard lock(mutex_);
  const auto found = shared_.find({fingerprint.first, fingerprint.second});
  return found == shared_.end() ? nullptr : found->second;
}

std::shared_ptr<const TokenLengths> VocabTrie::lengths() const {
  const std::lock_guard lock(mutex_);
  return lengths_;
}

void VocabTrie::set_lengths(std::shared_ptr<const TokenLengths> lengths) {
  const std::lock_guard lock(mutex_);
  lengths_ = std::move(lengths);
}

void VocabTrie::share(std::pair<uint64_t, uint64_t> fingerprint,
                      std::shared_ptr<const LocalMask> mask) {
  const std::lock_guard lock(mutex_);
  shared_bytes_ += mask->bits.size() * 8 + mask->tokens.size() * 4 + mask->pops.size() * 4 + 128;
  if (shared_bytes_ > kMaxSharedBytes) {
    shared_.clear();
    shared_bytes_ = 0;
  }
  shared_[{fingerprint.first, fingerprint.second}] = std::move(mask);
}

}  // namespace lm
