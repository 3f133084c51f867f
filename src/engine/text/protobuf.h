// The wire format of protocol buffers, read without a schema compiler: SentencePiece models need
// only this much. Source: protobuf.dev, "Encoding". Internal to engine/text.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "engine/core/error.h"

namespace lm {

class ProtobufReader {
 public:
  // A field's number and its value: `bytes` for strings and messages, `number` for the others
  // (fixed-width values as their bits).
  struct Field {
    uint32_t number = 0, wire = 0;
    uint64_t value = 0;
    std::string_view bytes;
    float as_float() const {
      const auto bits = static_cast<uint32_t>(value);
      float f;
      std::memcpy(&f, &bits, 4);
      return f;
    }
  };

  ProtobufReader(std::string_view message, const std::string& name) : rest_(message), name_(name) {}

  // False at the end of the message. Throws bad_file for a message that breaks off or uses groups.
  bool next(Field* field) {
    if (rest_.empty()) return false;
    const uint64_t tag = varint();
    field->number = static_cast<uint32_t>(tag >> 3);
    field->wire = static_cast<uint32_t>(tag & 7);
    field->bytes = {};
    switch (field->wire) {
      case 0:
        field->value = varint();
        break;
      case 1:
        field->value = fixed(8);
        break;
      case 2:
        field->bytes = take(varint());
        break;
      case 5:
        field->value = fixed(4);
        break;
      default:
        raise(ErrorCode::bad_file, "load: {}: a field of wire type {}; expected 0, 1, 2 or 5",
              name_, field->wire);
    }
    return true;
  }

 private:
  std::string_view take(uint64_t n) {
    LM_CHECK(n <= rest_.size(), ErrorCode::bad_file,
             "load: {} ends inside a field of {} bytes; {} are left", name_, n, rest_.size());
    const std::string_view bytes = rest_.substr(0, static_cast<size_t>(n));
    rest_.remove_prefix(static_cast<size_t>(n));
    return bytes;
  }
  uint64_t fixed(size_t n) {
    uint64_t value = 0;
    std::memcpy(&value, take(n).data(), n);
    return value;
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(take(1)[0]);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    raise(ErrorCode::bad_file, "load: {}: an integer of more than 10 bytes", name_);
  }

  std::string_view rest_;
  const std::string& name_;
};

}  // namespace lm
