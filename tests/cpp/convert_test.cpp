// Conversion between Hugging Face folders and GGUF: every tiny model of tests/data/models keeps
// transformers' numbers on the way.
#include "engine/api/convert.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <set>

#include "engine/api/embed.h"
#include "engine/api/generate.h"
#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/formats/checkpoint.h"
#include "engine/formats/gguf.h"
#include "engine/text/tokenizer.h"
#include "test_data.h"

using namespace lm;
namespace fs = std::filesystem;

namespace {

const std::string kModels = std::string(LM_SOURCE_DIR) + "/tests/data/models";

// What GGUF keys cannot say, or not yet; converting these is refused, with these words.
const std::pair<const char*, const char*> kRefused[] = {
    // llama.cpp has no scaling whose base grows with the text; without it longer texts change.
    {"llama-rope-dynamic", "dynamic RoPE scaling"},
    // llama.cpp's groups are chosen by their two best experts (DeepSeek-V3), these by the best one.
    {"deepseek-v2-groups", "expert groups"},
    // llama.cpp knows 128 only, as every published T5 has it.
    {"t5", "position distance"},
    // Not in llama.cpp.
    {"hymba", "no GGUF files of architecture hymba"},
    {"rwkv4", "no GGUF files of architecture rwkv4"},
    // llama.cpp keeps what sees in a file of its own (mmproj), without the text model.
    {"vit", "no GGUF files of architecture"},
    {"siglip", "no GGUF files of architecture"},
    {"smolvlm", "no GGUF files of architecture"},
    {"idefics3", "no GGUF files of architecture"}};

const char* refusal(const std::string& name) {
  for (const auto& [model, words] : kRefused)
    if (name == model) return words;
  return nullptr;
}

std::vector<fs::path> folders() {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(kModels))
    if (fs::exists(entry.path() / "golden.safetensors") && fs::exists(entry.path() / "config.json"))
      out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

ConvertResult convert(const std::string& from, const std::string& to, const char* type = "") {
  ConvertOptions o;
  o.from = from;
  o.to = to;
  o.type = type;
  return convert_model(o);
}

struct Golden {
  std::vector<int32_t> ids, types, source;  // source: what an encoder reads first
  std::vector<float> values;
  enum { logits, hidden, scores } kind = logits;
};

std::vector<int32_t> integers(const TensorFile& file, const char* name) {
  std::vector<int32_t> out;
  const auto it = file.tensors.find(name);
  for (int64_t i = 0; it != file.tensors.end() && i < it->second.numel(); ++i) {
    int64_t id;
    std::memcpy(&id, it->second.data + 8 * i, 8);
    out.push_back(static_cast<int32_t>(id));
  }
  return out;
}

// What transformers computes from the model: logits of language models, hidden states or scores of
// encoders.
Golden read_golden(const fs::path& folder) {
  const TensorFile file = open_checkpoint((folder / "golden.safetensors").string());
  Golden g;
  g.ids = integers(file, "ids");
  g.types = integers(file, "token_types");
  g.source = integers(file, "source");
  for (const auto& [name, kind] :
       {std::pair("logits", Golden::logits), std::pair("hidden", Golden::hidden),
        std::pair("scores", Golden::scores)}) {
    const auto it = file.tensors.find(name);
    if (it == file.tensors.end()) continue;
    g.kind = kind;
    g.values.resize(static_cast<size_t>(it->second.numel()));
    std::memcpy(g.values.data(), it->second.data, g.values.size() * 4);
    break;
  }
  return g;
}

std::vector<float> computed(const std::string& path, const Golden& g) {
  LoadOptions options;
  options.precision = "exact";
  const auto model = Model::load(path, options);
  if (g.kind == Golden::logits) {
    Context context(model);
    if (!g.source.empty()) context.set_source(g.source);
    return context.eval_all(g.ids);
  }
  Embedder e(model);
  const TextInput text{g.ids, g.types};
  if (g.kind == Golden::hidden) return e.hidden(text);
  return e.scores({text}).front();
}

double error(const std::vector<float>& got, const std::vector<float>& want) {
  REQUIRE(got.size() == want.size());
  double worst = 0, size = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double d = std::fabs(static_cast<double>(got[i]) - static_cast<double>(want[i]));
    worst = std::isnan(d) ? INFINITY : std::max(worst, d);
    size = std::max(size, std::fabs(static_cast<double>(want[i])));
  }
  return worst / size;
}

// Every tensor of `a` is in `b`, and no other; same type, shape and bytes.
void check_equal(const TensorFile& a, const TensorFile& b) {
  CHECK(b.tensors.size() == a.tensors.size());
  for (const auto& [tensor, view] : a.tensors) {
    CAPTURE(tensor);
    const auto it = b.tensors.find(tensor);
    REQUIRE(it != b.tensors.end());
    CHECK(it->second.dtype == view.dtype);
    CHECK(it->second.shape == view.shape);
    CHECK(std::memcmp(it->second.data, view.data, static_cast<size_t>(view.size_bytes())) == 0);
  }
}

}  // namespace

TEST_CASE("Hugging Face to GGUF: the file's logits are transformers' for every architecture") {
  const lm_test::TemporaryFolder tmp;
  for (const fs::path& folder : folders()) {
    const std::string name = folder.filename().string(), gguf = tmp.path / (name + ".gguf");
    CAPTURE(name);
    if (const char* words = refusal(name)) {
      CHECK_THROWS_WITH_AS(convert(folder.string(), gguf), doctest::Contains(words), Error);
      CHECK(!fs::exists(gguf));
      continue;
    }
    const Golden g = read_golden(folder);
    double e = INFINITY;
    try {
      convert(folder.string(), gguf, "f32");
      e = error(computed(gguf, g), g.values);
    } catch (const Error& failure) {
      FAIL_CHECK(failure.message());
    }
    std::printf("table: to gguf %-22s error %.1e\n", name.c_str(), e);
    CHECK(e <= 1e-4);
  }
}

// Models whose tensors are others on the way back, though the numbers they compute are the same.
const std::set<std::string> kRewritten = {
    "falcon-h1",       // GGUF has the factors in the weights
    "falcon-mamba",    // and the epsilon of the norms without weights
    "flan-t5",         // a head of its own, as GGUF's readers would scale a tied one
    "roberta-rerank",  // becomes a BERT: GGUF makes no difference
};

TEST_CASE("Hugging Face to GGUF and back: every tensor bit for bit, and transformers' logits") {
  const lm_test::TemporaryFolder tmp;
  for (const fs::path& folder : folders()) {
    const std::string name = folder.filename().string();
    CAPTURE(name);
    if (refusal(name)) continue;
    const std::string gguf = tmp.path / (name + ".gguf"), back = tmp.path / name;
    convert(folder.string(), gguf);
    try {
      convert(gguf, back);
    } catch (const Error& failure) {
      FAIL_CHECK(failure.message());
      continue;
    }
    const Golden g = read_golden(folder);
    const double e = error(computed(back, g), g.values);
    CHECK(e <= 1e-4);
    if (kRewritten.contains(name)) {
      std::printf("table: there and back %-22s     rewritten, logits %.1e\n", name.c_str(), e);
      continue;
    }
    const TensorFile before = open_checkpoint(folder.string());
    check_equal(before, open_checkpoint(back));
    std::printf("table: there and back %-22s %3zu tensors equal, logits %.1e\n", name.c_str(),
                before.tensors.size(), e);
  }
}

namespace {

void write(const fs::path& path, const std::string& text) {
  write_file_atomic(path.string(), std::as_bytes(std::span(text)));
}

}  // namespace

TEST_CASE("folder to folder: tensors as they are, other shards, everything beside the weights") {
  const lm_test::TemporaryFolder tmp;
  const fs::path from = tmp.path / "from", to = tmp.path / "to";
  fs::copy(kModels + "/bert", from, fs::copy_options::recursive);
  fs::create_directories(from / "1_Pooling");
  fs::create_directories(from / "onnx");
  write(from / "1_Pooling" / "config.json", R"({"pooling_mode_cls_token": true})");
  write(from / "README.md", "a\nb\n");
  write(from / "empty.txt", "");
  write(from / "pytorch_model.bin", "of no use");
  write(from / "onnx" / "model.onnx", "of no use");
  ConvertOptions o;
  o.from = from.string();
  o.to = to.string();
  o.max_file_bytes = 20000;
  const ConvertResult r = convert_model(o);
  CHECK(r.format == "safetensors");
  CHECK(fs::exists(to / "model.safetensors.index.json"));
  CHECK(fs::exists(to / "model-00002-of-00003.safetensors"));
  check_equal(open_checkpoint(from.string()), open_checkpoint(to.string()));
  CHECK(read_file((to / "config.json").string()) == read_file((from / "config.json").string()));
  CHECK(read_file((to / "README.md").string()) == "a\nb\n");
  CHECK(fs::exists(to / "empty.txt"));
  CHECK(fs::exists(to / "1_Pooling" / "config.json"));
  CHECK(!fs::exists(to / "pytorch_model.bin"));
  CHECK(!fs::exists(to / "onnx"));
  // One file again, from the name of a shard; the index goes.
  const fs::path one = tmp.path / "one";
  convert((to / "model-00001-of-00003.safetensors").string(), one.string(), "f16");
  CHECK(!fs::exists(one / "model.safetensors.index.json"));
  const Golden g = read_golden(kModels + "/bert");
  CHECK(error(computed(one.string(), g), g.values) <= 2e-3);  // of numbers with 11 bits
  CHECK(read_file((one / "config.json").string()).find("\"dtype\": \"float16\"") !=
        std::string::npos);
  CHECK_THROWS_WITH_AS(convert(from.string(), (tmp.path / "q").string(), "q8_0"),
                       doctest::Contains("needs a .gguf file"), Error);
  CHECK_THROWS_AS(convert(from.string(), from.string()), Error);
}

TEST_CASE("folder to folder: bfloat16 is the published one, bit for bit") {
  const auto root = lm_test::test_data("models/stories260K");
  if (!root) return;
  const lm_test::TemporaryFolder tmp;
  const std::string to = tmp.path / "bf16";
  convert(*root + "/hf", to, "bf16");
  const TensorFile a = open_checkpoint(*root + "/hf-bf16-sharded"), b = open_checkpoint(to);
  for (const auto& [name, view] : a.tensors) {
    CAPTURE(name);
    const TensorView& got = b.tensors.at(name);
    if (view.shape.size() < 2) continue;  // whose values bfloat16 would change
    CHECK(got.dtype == DType::bf16);
    CHECK(std::memcmp(got.data, view.data, static_cast<size_t>(view.size_bytes())) == 0);
  }
}

TEST_CASE("llama2.c checkpoints become the published GGUF file and folder, bit for bit") {
  const auto root = lm_test::test_data("models/stories260K");
  if (!root) return;
  const lm_test::TemporaryFolder tmp;
  for (const char* name : {"stories260K.bin", "stories260K.v1.bin"}) {
    CAPTURE(name);
    const std::string from = *root + "/" + name;
    const std::string gguf = tmp.path / (std::string(name) + ".gguf"), folder = tmp.path / name;
    convert(from, gguf);
    convert(from, folder);
    const GgufFile a = GgufFile::open(*root + "/gguf/stories260K-F32.gguf"),
                   b = GgufFile::open(gguf);
    for (const std::string& tensor : a.tensor_names()) {
      CAPTURE(tensor);
      const TensorView* got = b.tensor(tensor);
      REQUIRE(got != nullptr);
      CHECK(got->shape == a.tensor(tensor)->shape);
      CHECK(std::memcmp(got->data, a.tensor(tensor)->data,
                        static_cast<size_t>(got->size_bytes())) == 0);
    }
    CHECK(b.get_strings("tokenizer.ggml.tokens") == a.get_strings("tokenizer.ggml.tokens"));
    CHECK(b.get_floats("tokenizer.ggml.scores") == a.get_floats("tokenizer.ggml.scores"));
    CHECK(b.get_ints("tokenizer.ggml.token_type") == a.get_ints("tokenizer.ggml.token_type"));
    check_equal(open_checkpoint(*root + "/hf"), open_checkpoint(folder));
    const auto text = [](const std::string& path) {
      return Model::load(path)->tokenizer()->encode("Once upon a time, ünter 7");
    };
    const auto ids = text(from);
    CHECK(text(gguf) == ids);
    CHECK(text(folder) == ids);
  }
  CHECK_THROWS_WITH_AS(convert(*root + "/tok512.bin", tmp.path / "x.gguf"),
                       doctest::Contains("llama2.c"), Error);
}
