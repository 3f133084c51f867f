// Turns the bytes a terminal sends into keys. A pure state machine: no I/O, no clock.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace lm {

enum class KeyCode : uint8_t {
  text,   // `text` holds one typed character
  paste,  // `text` holds a whole bracketed paste, as sent
  ctrl,   // `letter` 'a'..'z' or one of @ [ \ ] ^ _
  meta,   // Alt with `letter`
  enter,
  meta_enter,
  tab,
  back_tab,
  backspace,
  meta_backspace,
  del,
  escape,
  up,
  down,
  left,
  right,
  word_left,
  word_right,
  home,
  end,
  page_up,
  page_down,
  unknown,  // a well-formed sequence that means nothing to us
};

struct Key {
  KeyCode code = KeyCode::unknown;
  char letter = 0;
  std::string text = {};
};

class KeyDecoder {
 public:
  // Takes one byte; returns a key when it completes one.
  std::optional<Key> feed(unsigned char byte);
  // True after a lone ESC: it is the Escape key unless more bytes follow within some 50 ms.
  bool escape_pending() const { return state_ == State::escape; }
  // Ends the wait for the rest of a sequence.
  std::optional<Key> flush();
  bool in_paste() const { return state_ == State::paste; }

 private:
  enum class State : uint8_t { ground, utf8, escape, csi, ss3, paste };

  std::optional<Key> ground(unsigned char byte);
  std::optional<Key> finish_csi(char last);

  State state_ = State::ground;
  bool meta_ = false;  // an ESC came before the sequence
  size_t wanted_ = 0;  // bytes of the UTF-8 character still to come
  std::string pending_;
};

}  // namespace lm
