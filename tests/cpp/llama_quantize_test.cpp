// Quantised GGUF files against llama-quantize's, on real models.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/api/convert.h"
#include "engine/core/crc32.h"
#include "engine/export/gguf_model.h"
#include "test_data.h"

using namespace lm;
using nlohmann::json;

// Goldens: tests/data/make_quantize_goldens.py.
TEST_CASE("file types choose llama-quantize's type for every tensor of three real models") {
  std::ifstream in(std::string(LM_SOURCE_DIR) + "/tests/data/quantize_goldens.json");
  const json goldens = json::parse(in);
  for (const auto& [file, types] : goldens["models"].items()) {
    const auto path = lm_test::test_model(file);
    if (!path) continue;
    CAPTURE(file);
    const GgufModel model = gguf_model(GgufFile::open(*path));
    std::vector<TensorInfo> infos;
    for (const ExportTensor& t : model.tensors) infos.push_back({t.name, t.shape, t.dtype});
    std::sort(infos.begin(), infos.end(), [](const TensorInfo& a, const TensorInfo& b) {
      return gguf_tensor_order(a.name, b.name);
    });
    for (const auto& [name, golden] : types.items()) {
      CAPTURE(name);
      const auto chosen = choose_types(file_type_from_name(name), model.model, infos);
      size_t i = 0;
      for (const json& run : golden["types"])
        for (int n = run[1]; n > 0; --n, ++i)
          if (dtype_info(chosen.at(i)).ggml_id != run[0].get<int>())
            FAIL_CHECK(infos[i].name, " became ", dtype_name(chosen[i]));
      CHECK(i == chosen.size());
    }
    std::printf("table: file types %-42s %2zu types x %3zu tensors as llama-quantize\n",
                file.c_str(), types.size(), infos.size());
  }
}

TEST_CASE("whole quantised files equal llama-quantize's byte for byte") {
  std::ifstream in(std::string(LM_SOURCE_DIR) + "/tests/data/quantize_goldens.json");
  const json goldens = json::parse(in);
  const char* kModel = "SmolLM2-135M-Instruct.Q4_1.gguf";
  const auto path = lm_test::test_model(kModel);
  if (!path) return;
  const lm_test::TemporaryFolder folder;
  for (const char* name : {"bf16", "q8_0", "q4_0", "q5_1", "q2_k", "q4_k_m", "q6_k"}) {
    CAPTURE(name);
    const json& golden = goldens["models"][kModel][name];
    ConvertOptions o;
    o.from = *path;
    o.to = folder.path / "out.gguf";
    o.type = name;
    o.overwrite = true;
    const ConvertResult r = convert_model(o);
    CHECK(r.file_bytes == golden["bytes"].get<int64_t>());
    const bool equal = crc32(MappedFile(o.to).bytes()) == golden["crc32"].get<uint32_t>();
    CHECK(equal);
    std::printf("table: llama-quantize %-7s %9lld bytes, %s\n", name,
                static_cast<long long>(r.file_bytes), equal ? "equal" : "DIFFERENT");
  }
}
