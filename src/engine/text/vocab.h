// The tokens of a tokenizer: id -> text, id -> bytes, id -> kind, text -> id. Texts lie one after
// the other in one buffer: loading 50,000 tokens makes a handful of allocations.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lm {

// What a token is; the numbers are those of tokenizer.ggml.token_type in GGUF.
enum class TokenKind : uint8_t {
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6
};

class Vocab {
 public:
  // More ids than this are refused: the largest published vocabularies have 262,144.
  static constexpr int32_t kMaxTokens = 1 << 22;

  void reserve(size_t n_tokens, size_t text_bytes);
  // Appends the next id. A text that is already there stays findable under its first id.
  int32_t add(std::string_view text, TokenKind kind = TokenKind::normal);
  // Appends ids without text (never found, never produced) until size() == n.
  void pad_to(int32_t n);
  // Gives an id without text its text.
  void fill(int32_t id, std::string_view text, TokenKind kind);

  int32_t size() const { return static_cast<int32_t>(texts_.size()); }
  bool contains(int32_t id) const { return id >= 0 && id < size(); }
  std::string_view text(int32_t id) const { return view(texts_[static_cast<size_t>(id)]); }
  TokenKind kind(int32_t id) const { return kinds_[static_cast<size_t>(id)]; }
  void set_kind(int32_t id, TokenKind kind) { kinds_[static_cast<size_t>(id)] = kind; }
  // -1 when there is no such token.
  int32_t find(std::string_view text) const;
  // find() for many texts at once, several times as fast for big vocabularies because their cache
  // misses overlap. ids: as many as texts.
  void find_many(std::span<const std::string_view> texts, int32_t* ids) const;

  // What a token adds to the decoded text; empty until set for every id by set_bytes.
  template <typename F>
  void set_bytes(F&& append_bytes) {
    bytes_.clear();
    bytes_buffer_.clear();
    bytes_buffer_.reserve(buffer_.size());
    bytes_.reserve(texts_.size());
    for (int32_t id = 0; id < size(); ++id) {
      const size_t begin = bytes_buffer_.size();
      append_bytes(id, bytes_buffer_);
      bytes_.push_back(
          {static_cast<uint32_t>(begin), static_cast<uint32_t>(bytes_buffer_.size() - begin)});
    }
  }
  std::string_view bytes(int32_t id) const {
    const Span s = bytes_[static_cast<size_t>(id)];
    return {bytes_buffer_.data() + s.begin, s.size};
  }

 private:
  struct Span {
    uint32_t begin = 0, size = 0;
  };
  struct Slot {
    uint32_t hash = 0;
    int32_t id = -1;
  };
  std::string_view view(Span s) const { return {buffer_.data() + s.begin, s.size}; }
  Span store(std::string_view text);
  void index(int32_t id);
  int32_t find_hashed(std::string_view text, uint64_t hash) const;
  void rehash(size_t slots);

  std::string buffer_, bytes_buffer_;
  std::vector<Span> texts_, bytes_;
  std::vector<TokenKind> kinds_;
  std::vector<Slot> slots_;
  size_t indexed_ = 0;
};

}  // namespace lm
