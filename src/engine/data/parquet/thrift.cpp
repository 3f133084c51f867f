#include "engine/data/parquet/thrift.h"

#include "engine/data/parquet/bytes.h"

namespace lm::parquet {
namespace {

enum Type : uint8_t {
  kStop = 0,
  kTrue = 1,
  kFalse = 2,
  kByte = 3,
  kI16 = 4,
  kI32 = 5,
  kI64 = 6,
  kDouble = 7,
  kBinary = 8,
  kList = 9,
  kSet = 10,
  kMap = 11,
  kStruct = 12,
};
constexpr int kMostDeep = 32;

class Reader {
 public:
  explicit Reader(Bytes& in) : in_(in) {}

  Value structure(int depth) {
    if (depth > kMostDeep) damaged("headers are nested too deeply");
    Value out;
    int16_t id = 0;
    while (true) {
      const uint8_t head = in_.byte();
      const uint8_t type = head & 15;
      if (type == kStop) return out;
      const int delta = head >> 4;
      id = static_cast<int16_t>(delta != 0 ? id + delta : in_.zigzag());
      out.ids.push_back(id);
      out.list.push_back(value(type, depth, false));
    }
  }

 private:
  Value value(uint8_t type, int depth, bool in_list) {
    Value out;
    switch (type) {
      case kTrue:
      case kFalse:
        out.number = in_list ? in_.byte() == kTrue : type == kTrue;
        return out;
      case kByte:
        out.number = static_cast<int8_t>(in_.byte());
        return out;
      case kI16:
      case kI32:
      case kI64:
        out.number = in_.zigzag();
        return out;
      case kDouble:
        in_.take(8);
        return out;
      case kBinary:
        out.text = in_.text(in_.varint());
        return out;
      case kList:
      case kSet:
        return list(depth);
      case kMap:
        return map(depth);
      case kStruct:
        return structure(depth + 1);
      default:
        damaged("a header has a field of no known type");
    }
  }
  Value list(int depth) {
    if (depth > kMostDeep) damaged("headers are nested too deeply");
    const uint8_t head = in_.byte();
    const uint64_t n = head >> 4 == 15 ? in_.varint() : head >> 4;
    if (n > in_.left()) damaged("a list has more elements than bytes");
    Value out;
    for (uint64_t i = 0; i < n; ++i) out.list.push_back(value(head & 15, depth + 1, true));
    return out;
  }
  // Nothing that is needed is a map.
  Value map(int depth) {
    if (depth > kMostDeep) damaged("headers are nested too deeply");
    const uint64_t n = in_.varint();
    if (n > in_.left()) damaged("a map has more elements than bytes");
    if (n == 0) return {};
    const uint8_t types = in_.byte();
    for (uint64_t i = 0; i < n; ++i) {
      value(types >> 4, depth + 1, true);
      value(types & 15, depth + 1, true);
    }
    return {};
  }
  Bytes& in_;
};

}  // namespace

const Value* Value::find(int16_t id) const {
  for (size_t i = 0; i < ids.size(); ++i)
    if (ids[i] == id) return &list[i];
  return nullptr;
}

const Value& Value::at(int16_t id) const {
  const Value* value = find(id);
  if (value == nullptr) damaged("a header lacks a field");
  return *value;
}

int64_t Value::number_or(int16_t id, int64_t fallback) const {
  const Value* value = find(id);
  return value == nullptr ? fallback : value->number;
}

Value read_struct(std::span<const std::byte> bytes, size_t* used) {
  Bytes in(bytes);
  Value out = Reader(in).structure(0);
  *used = in.used();
  return out;
}

}  // namespace lm::parquet
