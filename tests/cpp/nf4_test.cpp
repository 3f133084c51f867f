// NF4 and 8-bit rows against bitsandbytes on the CPU (tests/data/nf4/generate.py).
#include "engine/quant/nf4.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>

#include "engine/formats/checkpoint.h"
#include "engine/quant/int8_rows.h"

namespace lm {
namespace {

const std::string kData = std::string(LM_SOURCE_DIR) + "/tests/data/nf4/";

template <typename T>
std::vector<T> numbers(const TensorFile& file, const std::string& name) {
  const TensorView& view = file.tensors.at(name);
  std::vector<T> out(static_cast<size_t>(view.numel()));
  std::memcpy(out.data(), view.data, out.size() * sizeof(T));
  return out;
}

}  // namespace

TEST_CASE("nf4: bitsandbytes' codes; its numbers bit for bit, f32 and bf16") {
  const TensorFile file = open_checkpoint(kData + "nf4.safetensors");
  for (const std::string name : {"a", "b"}) {
    CAPTURE(name);
    const auto values = numbers<float>(file, name + ".values");
    const auto n = static_cast<int64_t>(values.size());
    const auto codes = numbers<uint8_t>(file, name + ".codes");
    Nf4Scales scales{numbers<uint8_t>(file, name + ".scales"),
                     numbers<float>(file, name + ".nested"),
                     numbers<float>(file, name + ".offset")[0]};
    std::vector<float> f32(values.size());
    nf4_dequantize(codes.data(), scales, 0, n, f32.data());
    CHECK(f32 == numbers<float>(file, name + ".f32"));
    // In pieces that begin and end anywhere.
    std::vector<uint16_t> bf16(values.size());
    for (int64_t begin = 0, step = 1; begin < n; begin += step, step = step % 101 + 7)
      nf4_dequantize(codes.data(), scales, begin, std::min(n, begin + step), bf16.data() + begin);
    CHECK(bf16 == numbers<uint16_t>(file, name + ".bf16"));

    std::vector<uint8_t> ours((values.size() + 1) / 2);
    const Nf4Scales made = nf4_quantize(values.data(), n, ours.data());
    CHECK(ours == codes);
    CHECK(made.offset ==
          doctest::Approx(scales.offset).epsilon(1e-6));  // f32 sums in another order
    REQUIRE(made.codes.size() == scales.codes.size());
    REQUIRE(made.nested.size() == scales.nested.size());
    for (size_t i = 0; i < made.nested.size(); ++i)
      CHECK(made.nested[i] == doctest::Approx(scales.nested[i]).epsilon(1e-6));
    int worst = 0;
    for (size_t i = 0; i < made.codes.size(); ++i)
      worst = std::max(worst, std::abs(made.codes[i] - scales.codes[i]));
    CHECK(worst <= 1);  // its CPU library rounds by a table
  }
}

TEST_CASE("int8 rows: bitsandbytes' codes and numbers bit for bit") {
  const TensorFile file = open_checkpoint(kData + "int8.safetensors");
  for (const std::string name : {"a", "b"}) {
    CAPTURE(name);
    const auto values = numbers<float>(file, name + ".values");
    const auto codes = numbers<int8_t>(file, name + ".codes");
    const auto magnitudes = numbers<float>(file, name + ".magnitudes");
    const size_t cols = values.size() / magnitudes.size();
    std::vector<int8_t> ours(codes.size());
    std::vector<float> f32(codes.size());
    for (size_t r = 0; r < magnitudes.size(); ++r) {
      const auto n = static_cast<int64_t>(cols);
      CHECK(int8_quantize_row(values.data() + r * cols, n, ours.data() + r * cols) ==
            magnitudes[r]);
      int8_dequantize_row(codes.data() + r * cols, magnitudes[r], n, f32.data() + r * cols);
    }
    CHECK(ours == codes);
    CHECK(f32 == numbers<float>(file, name + ".f32"));
  }
}

}  // namespace lm
