// Decoding of every GGML type against ggml and gguf-py: blocks of 28 types, and every tensor of
// three real models.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/formats/gguf.h"
#include "engine/kernels/cpu/dequant/plain.h"
#include "engine/kernels/cpu/panels.h"
#include "test_data.h"

using namespace lm;
using nlohmann::json;

namespace {

json read_json(const std::string& path) {
  std::ifstream in(path);
  REQUIRE(in.good());
  return json::parse(in);
}

const std::vector<json> golden_entries(const json& index) {
  std::vector<json> all;
  for (const char* group : {"types", "real"})
    for (const json& e : index[group]) all.push_back(e);
  return all;
}

DType dtype_of(const json& entry) {
  DType type{};
  REQUIRE(dtype_from_ggml(entry["ggml_type"].get<uint32_t>(), &type));
  CHECK(dtype_info(type).block == entry["block"].get<int>());
  CHECK(dtype_info(type).block_bytes == entry["block_bytes"].get<int>());
  return type;
}

}  // namespace

TEST_CASE("dequantisation equals ggml bit for bit for every type of the goldens") {
  const auto root = lm_test::test_data("models/real-goldens/dequant");
  if (!root) return;
  const json index = read_json(*root + "/index.json");
  for (const json& e : golden_entries(index)) {
    const DType type = dtype_of(e);
    CAPTURE(dtype_name(type));
    const MappedFile bytes(*root + "/" + e["bytes"].get<std::string>());
    const MappedFile expected(*root + "/" + e["expected"].get<std::string>());
    const TensorView view{bytes.bytes().data(), type, {e["rows"], e["cols"]}};
    const auto n = static_cast<size_t>(view.numel());
    REQUIRE(bytes.bytes().size() == static_cast<size_t>(view.size_bytes()));
    REQUIRE(expected.bytes().size() == n * 4);
    std::vector<float> got(n), want(n);
    std::memcpy(want.data(), expected.bytes().data(), n * 4);
    to_f32(view, 0, view.numel(), got.data());
    double worst = 0;
    for (size_t i = 0; i < n; ++i)
      worst =
          std::max(worst, std::fabs(static_cast<double>(got[i]) - static_cast<double>(want[i])));
    CHECK(std::memcmp(got.data(), want.data(), n * 4) == 0);
    std::printf("table: dequant %-8s %4d blocks of %3d, max difference %g\n", dtype_name(type),
                static_cast<int>(n) / dtype_info(type).block, dtype_info(type).block, worst);
  }
}

TEST_CASE("every tensor of the real models decodes to the reference's sums and values") {
  const auto path = lm_test::test_data("models/real-goldens/tensors.json");
  if (!path) return;
  const json all = read_json(*path);
  const std::pair<const char*, const char*> kModels[] = {
      {"smollm2-135m-instruct.q4_1", "SmolLM2-135M-Instruct.Q4_1.gguf"},
      {"gemma-3-270m.q4_k_m", "gemma-3-270m-q4_k_m.gguf"},
      {"qwen2.5-coder-0.5b-instruct.q4_k_m", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"}};
  for (const auto& [key, file] : kModels) {
    const auto model = lm_test::test_model(file);
    if (!model) continue;
    const GgufFile gguf = GgufFile::open(*model);
    std::map<std::string, int> counts;
    for (const json& row : all["models"][key]["rows"]) {
      const auto name = row[0].get<std::string>();
      CAPTURE(name);
      const TensorView* view = gguf.tensor(name);
      REQUIRE(view != nullptr);
      std::vector<float> x(static_cast<size_t>(view->numel()));
      to_f32(*view, 0, view->numel(), x.data());
      double sum = 0, absolute = 0;
      for (const float v : x) {
        sum += static_cast<double>(v);
        absolute += std::fabs(static_cast<double>(v));
      }
      const double mean = absolute / static_cast<double>(x.size());
      CHECK(mean == doctest::Approx(row[5].get<double>()).epsilon(1e-6));
      CHECK(std::fabs(sum - row[4].get<double>()) <= 1e-6 * absolute);
      for (int64_t k = 0; k < 5; ++k) {
        const double want = row[6][static_cast<size_t>(k)];
        const float value = x[static_cast<size_t>(k * (view->numel() - 1) / 4)];
        CHECK(std::fabs(static_cast<double>(value) - want) <= 1e-8 * std::fabs(want));
      }
      ++counts[dtype_name(view->dtype)];
    }
    for (const auto& [type, n] : counts)
      std::printf("table: tensors %-36s %-5s %3d equal\n", key, type.c_str(), n);
  }
}

TEST_CASE(
    "panels: a type with kernels keeps its values bit for bit, others become f16, exact mode f32") {
  const auto root = lm_test::test_data("models/real-goldens/dequant");
  if (!root) return;
  for (const json& e : golden_entries(read_json(*root + "/index.json"))) {
    const DType type = dtype_of(e);
    CAPTURE(dtype_name(type));
    const MappedFile bytes(*root + "/" + e["bytes"].get<std::string>());
    const PanelSource source{{bytes.bytes().data(), type, {e["rows"], e["cols"]}}, false};
    const int64_t cols = source.view.cols();
    std::vector<float> want(static_cast<size_t>(cols)), got(want.size());
    for (const PanelKind kind : {PanelKind::f32, panel_kind_for(type)}) {
      const PanelMatrix m = pack_panels(std::span(&source, 1), kind, false, ThreadPool::instance());
      CHECK(m.kind == kind);
      const bool rounds = kind == PanelKind::f16 && type != DType::f16;
      for (int64_t r = 0; r < source.view.rows(); ++r) {
        to_f32(source.view, r * cols, cols, want.data());
        unpack_row(m, r, got.data());
        if (!rounds) {
          CHECK(std::memcmp(got.data(), want.data(), want.size() * 4) == 0);
          continue;
        }
        for (size_t i = 0; i < want.size(); ++i)
          if (std::fabs(got[i] - want[i]) > std::fabs(want[i]) * 0x1p-11f + 0x1p-25f)
            FAIL_CHECK(want[i], " became ", got[i]);
      }
    }
  }
  CHECK(panel_kind_for(DType::q4_k) == PanelKind::q4_k);
  CHECK(panel_kind_for(DType::iq3_s) == PanelKind::f16);
}

TEST_CASE("panels: values beyond f16 fall back to f32 panels; integers are refused by name") {
  std::vector<float> x(32, 1.0f);
  x[5] = 70000.0f;
  const PanelSource source{{reinterpret_cast<const std::byte*>(x.data()), DType::f32, {1, 32}},
                           false};
  const PanelMatrix m =
      pack_panels(std::span(&source, 1), PanelKind::f16, false, ThreadPool::instance());
  CHECK(m.kind == PanelKind::f32);
  std::vector<float> back(32);
  unpack_row(m, 0, back.data());
  CHECK(back == x);
  const PanelSource ints{{reinterpret_cast<const std::byte*>(x.data()), DType::i32, {1, 32}},
                         false};
  CHECK_THROWS_WITH_AS(
      pack_panels(std::span(&ints, 1), PanelKind::f32, false, ThreadPool::instance()),
      "weights of type i32 cannot be computed with; floating-point types and the "
      "block types of GGUF can",
      Error);
}

// Expected values: the OCP FP8 specification's table of encodings, ONNX's for fnuz.
TEST_CASE("8-bit floats decode as their specifications say") {
  CHECK(e4m3_to_float(0x38) == 1.0f);
  CHECK(e4m3_to_float(0x7e) == 448.0f);
  CHECK(e4m3_to_float(0xfe) == -448.0f);
  CHECK(e4m3_to_float(0x08) == 0x1p-6f);
  CHECK(e4m3_to_float(0x07) == 0.875f * 0x1p-6f);
  CHECK(e4m3_to_float(0x01) == 0x1p-9f);
  CHECK(std::isnan(e4m3_to_float(0x7f)));
  CHECK(e5m2_to_float(0x3c) == 1.0f);
  CHECK(e5m2_to_float(0x7b) == 57344.0f);
  CHECK(e5m2_to_float(0x01) == 0x1p-16f);
  CHECK(e5m2_to_float(0x7c) == INFINITY);
  CHECK(e4m3fnuz_to_float(0x7f) == 240.0f);
  CHECK(e4m3fnuz_to_float(0x01) == 0x1p-10f);
  CHECK(std::isnan(e4m3fnuz_to_float(0x80)));
  CHECK(e5m2fnuz_to_float(0x7f) == 57344.0f);
  CHECK(e5m2fnuz_to_float(0x01) == 0x1p-17f);
}
