// Quantisers against ggml's bytes: rows 0..3 of the goldens were quantised by ggml from source.f32.
#include "engine/quant/quantize.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/kernels/cpu/to_f32.h"
#include "test_data.h"

using namespace lm;
using nlohmann::json;

namespace {

constexpr int64_t kRows = 4, kCols = 512;

TensorView floats(const std::vector<float>& x, Shape shape) {
  return {reinterpret_cast<const std::byte*>(x.data()), DType::f32, std::move(shape)};
}

}  // namespace

TEST_CASE("quantisers give ggml's bytes for every type that can be written") {
  const auto root = lm_test::test_data("models/real-goldens/dequant");
  if (!root) return;
  std::ifstream in(*root + "/index.json");
  const json index = json::parse(in);
  const MappedFile source(*root + "/source.f32");
  const TensorView view{source.bytes().data(), DType::f32, {kRows, kCols}};
  size_t tested = 0;
  for (const json& e : index["types"]) {
    DType type{};
    REQUIRE(dtype_from_ggml(e["ggml_type"].get<uint32_t>(), &type));
    if (!quantize_supported(type)) continue;
    CAPTURE(dtype_name(type));
    const MappedFile file(*root + "/" + e["bytes"].get<std::string>());
    const auto got = convert_rows(view, "source", type, 0, kRows, ThreadPool::instance());
    REQUIRE(got.size() == static_cast<size_t>(kRows * e["row_bytes"].get<int64_t>()));
    int64_t different = 0;
    for (size_t i = 0; i < got.size(); ++i) different += got[i] != file.bytes()[i];
    CHECK(different == 0);
    std::printf("table: quantise %-6s %5zu bytes, %lld differ from ggml\n", dtype_name(type),
                got.size(), static_cast<long long>(different));
    ++tested;
  }
  CHECK(tested == quantize_types().size());
}

TEST_CASE("quantising is independent of how rows are cut and of the number of threads") {
  std::vector<float> x(64 * 256);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i * i % 977)) * 0.1f;
  const TensorView view = floats(x, {64, 256});
  ThreadPool one(1), three(3);
  for (const DType type : quantize_types()) {
    CAPTURE(dtype_name(type));
    const auto whole = convert_rows(view, "x", type, 0, 64, one);
    auto parts = convert_rows(view, "x", type, 0, 13, three);
    const auto rest = convert_rows(view, "x", type, 13, 64, three);
    parts.insert(parts.end(), rest.begin(), rest.end());
    CHECK(parts == whole);
  }
}

// Requantising what a type decodes to gives the same values back where its codes are exact: any
// drift would show as a growing error.
TEST_CASE(
    "quantising an already quantised row changes q8_0, q4_0 and q5_0 by less than half a step") {
  std::vector<float> x(256), once(256), twice(256);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::cos(static_cast<float>(i * 37 % 101));
  for (const DType type : {DType::q8_0, DType::q4_0, DType::q5_0}) {
    CAPTURE(dtype_name(type));
    const auto a = convert_rows(floats(x, {1, 256}), "x", type, 0, 1, ThreadPool::instance());
    to_f32({a.data(), type, {1, 256}}, 0, 256, once.data());
    const auto b = convert_rows(floats(once, {1, 256}), "x", type, 0, 1, ThreadPool::instance());
    to_f32({b.data(), type, {1, 256}}, 0, 256, twice.data());
    for (size_t i = 0; i < x.size(); ++i) CHECK(std::fabs(once[i] - twice[i]) <= 1e-3f);
  }
}

TEST_CASE("quantising refuses what it cannot do, by name") {
  std::vector<float> x(512, 0.5f);
  const auto convert = [&](DType type, Shape shape) {
    return convert_rows(floats(x, std::move(shape)), "blk.0.w", type, 0, 1, ThreadPool::instance());
  };
  CHECK_THROWS_WITH_AS(
      convert(DType::q4_k, {2, 192}),
      "tensor \"blk.0.w\" has rows of 192 elements; type q4_k needs a multiple of 256", Error);
  CHECK_THROWS_WITH_AS(convert(DType::iq2_xs, {2, 256}),
                       "weights cannot be quantised to iq2_xs; f32, f16, bf16 and the block types "
                       "with an encoder can be written",
                       Error);
  x[7] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_AS(convert(DType::q8_0, {2, 256}), Error);
  CHECK_NOTHROW(convert(DType::f32, {2, 256}));
  x[7] = 1e6f;
  CHECK_THROWS_AS(convert(DType::f16, {2, 256}), Error);
  CHECK_NOTHROW(convert(DType::bf16, {2, 256}));
}
