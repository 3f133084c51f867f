#include "engine/data/parquet/decode.h"

#include <limits>

namespace lm::parquet {

namespace {

// Numbers of `width` bits, lowest bit first.
class Bits {
 public:
  explicit Bits(std::span<const std::byte> bytes) : bytes_(bytes) {}
  uint64_t take(int width) {
    uint64_t out = 0;
    for (int have = 0; have < width;) {
      if (at_ / 8 >= bytes_.size()) damaged("packed numbers end early");
      const int offset = static_cast<int>(at_ % 8), n = std::min(8 - offset, width - have);
      const auto byte = static_cast<uint64_t>(bytes_[at_ / 8]);
      out |= ((byte >> offset) & ((uint64_t{1} << n) - 1)) << have;
      have += n;
      at_ += static_cast<size_t>(n);
    }
    return out;
  }

 private:
  std::span<const std::byte> bytes_;
  size_t at_ = 0;  // bits
};

std::vector<int64_t> decode_delta(Bytes& in) {
  const uint64_t block = in.varint(), n_minis = in.varint(), n = in.varint();
  if (n_minis == 0 || block % 128 != 0 || block > (1 << 20) || block % n_minis != 0 ||
      block / n_minis % 8 != 0 || n > (uint64_t{1} << 24))
    damaged("the blocks of a delta encoding do not add up");
  const uint64_t per_mini = block / n_minis;
  std::vector<int64_t> out;
  auto value = static_cast<uint64_t>(in.zigzag());
  if (n > 0) out.push_back(static_cast<int64_t>(value));
  while (out.size() < n) {
    const auto least = static_cast<uint64_t>(in.zigzag());
    const auto widths = in.take(n_minis);
    for (uint64_t mini = 0; mini < n_minis && out.size() < n; ++mini) {
      const int width = static_cast<int>(widths[mini]);
      if (width > 64) damaged("a packed number has over 64 bits");
      Bits bits(in.take(per_mini / 8 * static_cast<uint64_t>(width)));
      for (uint64_t i = 0; i < per_mini && out.size() < n; ++i) {
        value += least + bits.take(width);  // wraps around, as the format wants
        out.push_back(static_cast<int64_t>(value));
      }
    }
  }
  return out;
}

std::vector<Cell> decode_delta_bytes(Bytes& in, bool prefixes, size_t n) {
  std::vector<int64_t> shared;
  if (prefixes) shared = decode_delta(in);
  const std::vector<int64_t> lengths = decode_delta(in);
  if (lengths.size() < n || (prefixes && shared.size() < n)) damaged("a page has too few values");
  std::vector<Cell> out;
  std::string last;
  size_t total = 0;
  for (size_t i = 0; i < n; ++i) {
    const auto keep = prefixes ? static_cast<uint64_t>(shared[i]) : 0;
    if (keep > last.size()) damaged("a text shares more than the one before has");
    last.resize(keep);
    last += in.text(static_cast<uint64_t>(lengths[i]));
    total += last.size();
    if (total > kMostBytes) damaged("the texts of a page are too long");
    out.emplace_back(last);
  }
  return out;
}

Cell number(int64_t value, const Node& leaf) {
  if (!leaf.is_unsigned) return value;
  if (leaf.type == Physical::int32) return uint64_t{static_cast<uint32_t>(value)};
  return static_cast<uint64_t>(value);
}

Cell plain_value(Bytes& in, const Node& leaf) {
  switch (leaf.type) {
    case Physical::int32:
      return number(in.fixed<int32_t>(), leaf);
    case Physical::int64:
      return number(in.fixed<int64_t>(), leaf);
    case Physical::float32:
      return double{in.fixed<float>()};
    case Physical::float64:
      return in.fixed<double>();
    case Physical::byte_array:
      return std::string(in.text(in.fixed<uint32_t>()));
    default:
      damaged("a value has no known type");
  }
}

std::vector<Cell> decode_booleans(Bytes& in, Encoding encoding, size_t n) {
  std::vector<Cell> out;
  if (encoding == Encoding::rle) {
    in.fixed<uint32_t>();  // bytes
    for (const uint32_t b : decode_runs(in, 1, n)) out.emplace_back(b != 0);
    return out;
  }
  Bits bits(in.take((n + 7) / 8));
  for (size_t i = 0; i < n; ++i) out.emplace_back(bits.take(1) != 0);
  return out;
}

}  // namespace

std::vector<uint32_t> decode_runs(Bytes& in, int width, size_t n) {
  if (width < 0 || width > 32) damaged("a packed number has over 32 bits");
  std::vector<uint32_t> out;
  out.reserve(n);
  while (out.size() < n) {
    const uint64_t head = in.varint();
    const uint64_t left = n - out.size();
    if (head & 1) {
      const uint64_t count = (head >> 1) * 8;
      if (head >> 1 > (uint64_t{1} << 28)) damaged("a run is too long");
      Bits bits(in.take((head >> 1) * static_cast<uint64_t>(width)));
      for (uint64_t i = 0; i < std::min(count, left); ++i)
        out.push_back(static_cast<uint32_t>(bits.take(width)));
      if (count == 0) damaged("a run is empty");
    } else {
      uint32_t value = 0;
      for (int shift = 0; shift < width; shift += 8)
        value |= static_cast<uint32_t>(in.byte()) << shift;
      if (head >> 1 == 0) damaged("a run is empty");
      out.insert(out.end(), std::min(head >> 1, left), value);
    }
  }
  return out;
}

std::vector<Cell> decode_values(Bytes& in, Encoding encoding, const Node& leaf, size_t n) {
  if (leaf.type == Physical::boolean && (encoding == Encoding::plain || encoding == Encoding::rle))
    return decode_booleans(in, encoding, n);
  const bool whole = leaf.type == Physical::int32 || leaf.type == Physical::int64;
  std::vector<Cell> out;
  if (encoding == Encoding::plain) {
    for (size_t i = 0; i < n; ++i) out.push_back(plain_value(in, leaf));
    return out;
  }
  if (encoding == Encoding::delta_binary && whole) {
    const std::vector<int64_t> values = decode_delta(in);
    if (values.size() < n) damaged("a page has too few values");
    for (size_t i = 0; i < n; ++i)
      out.push_back(
          number(leaf.type == Physical::int32 ? static_cast<int32_t>(values[i]) : values[i], leaf));
    return out;
  }
  if (leaf.type == Physical::byte_array &&
      (encoding == Encoding::delta_length || encoding == Encoding::delta_bytes))
    return decode_delta_bytes(in, encoding == Encoding::delta_bytes, n);
  raise(ErrorCode::unsupported, "column \"{}\" has encoding {} of Parquet, which is not read",
        leaf.name, static_cast<int>(encoding));
}

}  // namespace lm::parquet
