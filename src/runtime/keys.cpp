#include "runtime/keys.h"

#include "runtime/char_width.h"

namespace lm {
namespace {

constexpr size_t kMaxSequence = 32;            // longer escape sequences are noise
constexpr size_t kMaxPaste = size_t{1} << 26;  // bytes; the rest of a bigger paste is dropped
constexpr std::string_view kPasteEnd = "\x1b[201~";

KeyCode arrow(char last, bool word) {
  switch (last) {
    case 'A':
      return KeyCode::up;
    case 'B':
      return KeyCode::down;
    case 'C':
      return word ? KeyCode::word_right : KeyCode::right;
    case 'D':
      return word ? KeyCode::word_left : KeyCode::left;
    case 'H':
      return KeyCode::home;
    case 'F':
      return KeyCode::end;
    case 'Z':
      return KeyCode::back_tab;
    default:
      return KeyCode::unknown;
  }
}

KeyCode numbered(int number, bool word) {
  switch (number) {
    case 1:
    case 7:
      return KeyCode::home;
    case 3:
      return word ? KeyCode::unknown : KeyCode::del;
    case 4:
    case 8:
      return KeyCode::end;
    case 5:
      return KeyCode::page_up;
    case 6:
      return KeyCode::page_down;
    default:
      return KeyCode::unknown;
  }
}

}  // namespace

std::optional<Key> KeyDecoder::ground(unsigned char byte) {
  const bool meta = meta_;
  meta_ = false;
  state_ = State::ground;
  switch (byte) {
    case 0x1b:
      state_ = State::escape;
      return std::nullopt;
    case '\r':
    case '\n':
      return Key{meta ? KeyCode::meta_enter : KeyCode::enter};
    case '\t':
      return Key{KeyCode::tab};
    case 0x7f:
    case 0x08:
      return Key{meta ? KeyCode::meta_backspace : KeyCode::backspace};
    default:
      break;
  }
  if (byte < 0x20)
    return Key{KeyCode::ctrl, static_cast<char>(byte < 27 && byte > 0 ? byte + 0x60 : byte + 0x40)};
  if (byte < 0x80) {
    const char c = static_cast<char>(byte);
    return meta ? Key{KeyCode::meta, c} : Key{KeyCode::text, 0, std::string(1, c)};
  }
  pending_.assign(1, static_cast<char>(byte));
  wanted_ = byte >= 0xF0 && byte < 0xF5   ? 3
            : byte >= 0xE0 && byte < 0xF0 ? 2
            : byte >= 0xC2 && byte < 0xE0 ? 1
                                          : 0;
  if (wanted_ == 0) return Key{};
  state_ = State::utf8;
  return std::nullopt;
}

std::optional<Key> KeyDecoder::finish_csi(char last) {
  state_ = State::ground;
  int numbers[2] = {0, 0};
  size_t n = 0;
  for (const char c : pending_) {
    if (c == ';') {
      if (++n >= 2) break;
    } else if (c >= '0' && c <= '9') {
      numbers[n] = (numbers[n] * 10 + (c - '0')) % 100000;
    }
  }
  const bool word =
      numbers[1] == 3 || numbers[1] == 5 || numbers[1] == 7 || meta_;  // Alt or Ctrl held
  meta_ = false;
  if (last == '~') {
    if (numbers[0] == 200) {
      state_ = State::paste;
      pending_.clear();
      return std::nullopt;
    }
    return Key{numbered(numbers[0], word)};
  }
  return Key{arrow(last, word)};
}

std::optional<Key> KeyDecoder::feed(unsigned char byte) {
  const char c = static_cast<char>(byte);
  switch (state_) {
    case State::ground:
      return ground(byte);
    case State::utf8:
      if ((byte & 0xC0) != 0x80) return ground(byte);  // the broken character is dropped
      pending_.push_back(c);
      if (--wanted_ > 0) return std::nullopt;
      state_ = State::ground;
      return Key{KeyCode::text, 0, sanitize_input(pending_)};
    case State::escape:
      pending_.clear();
      if (byte == '[') {
        state_ = State::csi;
        return std::nullopt;
      }
      if (byte == 'O') {
        state_ = State::ss3;
        return std::nullopt;
      }
      meta_ = true;
      return ground(byte);
    case State::ss3:
      state_ = State::ground;
      return Key{arrow(c, false)};
    case State::csi:
      if (byte >= 0x40 && byte <= 0x7e) return finish_csi(c);
      if (byte < 0x20) return ground(byte);
      if (pending_.size() < kMaxSequence) pending_.push_back(c);
      return std::nullopt;
    case State::paste:
      if (pending_.size() < kMaxPaste || c == kPasteEnd.back()) pending_.push_back(c);
      if (!pending_.ends_with(kPasteEnd)) return std::nullopt;
      pending_.resize(pending_.size() - kPasteEnd.size());
      state_ = State::ground;
      return Key{KeyCode::paste, 0, std::move(pending_)};
  }
  return std::nullopt;
}

std::optional<Key> KeyDecoder::flush() {
  if (state_ != State::escape) return std::nullopt;
  state_ = State::ground;
  meta_ = false;
  return Key{KeyCode::escape};
}

}  // namespace lm
