// PyTorch checkpoints: three real ones against torch's own values, and damaged or hostile ones.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/formats/checkpoint.h"
#include "engine/formats/pickle.h"
#include "engine/formats/safetensors_writer.h"
#include "engine/formats/zip.h"
#include "engine/kernels/cpu/to_f32.h"
#include "test_data.h"

using namespace lm;
using nlohmann::json;

namespace {

template <typename T>
std::string le(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
std::string u16(int v) {
  return le(static_cast<uint16_t>(v));
}
std::string u32(size_t v) {
  return le(static_cast<uint32_t>(v));
}

struct Member {
  std::string name, data;
  int method = 0, flags = 0;
};

// A zip file as torch.save writes it: stored members, one directory.
std::string zip(const std::vector<Member>& members) {
  std::string out, directory;
  for (const Member& m : members) {
    const std::string common = u16(m.flags) + u16(m.method) + u32(0) + u32(0) + u32(m.data.size()) +
                               u32(m.data.size()) + u16(static_cast<int>(m.name.size())) + u16(0);
    directory += "PK\1\2" + u16(0) + u16(0) + common + u16(0) + u16(0) + u16(0) + u32(0) +
                 u32(out.size()) + m.name;
    out += "PK\3\4" + u16(0) + common + m.name + m.data;
  }
  const size_t at = out.size(), n = members.size();
  return out + directory + "PK\5\6" + u16(0) + u16(0) + u16(static_cast<int>(n)) +
         u16(static_cast<int>(n)) + u32(directory.size()) + u32(at) + u16(0);
}

std::string text(const std::string& s) {
  return "X" + u32(s.size()) + s;
}
std::string integer(int64_t v) {
  return v >= 0 && v < 256 ? std::string("K") + static_cast<char>(v)
                           : "J" + le(static_cast<int32_t>(v));
}
std::string tuple(const std::vector<std::string>& items) {
  std::string out = "(";
  for (const auto& i : items) out += i;
  return out + "t";
}
// What torch.save makes of a tensor in storage `key`.
std::string tensor(const std::string& key, int64_t numel, const std::vector<std::string>& size,
                   const std::vector<std::string>& stride, int64_t offset = 0,
                   const std::string& storage = "ctorch\nFloatStorage\n") {
  return "ctorch._utils\n_rebuild_tensor_v2\n" +
         tuple({tuple({text("storage"), storage, text(key), text("cpu"), integer(numel)}) + "Q",
                integer(offset), tuple(size), tuple(stride), "\x89",
                "ccollections\nOrderedDict\n)R"}) +
         "R";
}
std::string pickle(const std::string& body) {
  return "\x80\2" + body + ".";
}
std::string checkpoint(const std::string& body, size_t storage_bytes = 24) {
  return zip({{"a/data.pkl", pickle(body)},
              {"a/byteorder", "little"},
              {"a/data/0", std::string(storage_bytes, 'x')}});
}

TensorMap parse(const std::string& bytes) {
  return parse_torch(std::as_bytes(std::span(bytes)), "test.pt");
}
std::string error_of(const std::string& bytes, ErrorCode* code = nullptr) {
  try {
    parse(bytes);
  } catch (const Error& e) {
    if (code) *code = e.code();
    return e.message();
  }
  return "";
}

}  // namespace

TEST_CASE(
    "real PyTorch checkpoints: every tensor's name, dtype, shape, sum and first values are "
    "torch's") {
  const std::pair<const char*, const char*> kFiles[] = {
      {"tinygpt-shakespeare/tiny_gpt.pt", "tinygpt-shakespeare/tiny_gpt.tensors.json"},
      {"vit-mnist/vit_mnist.pth", "vit-mnist/vit_mnist.tensors.json"},
      {"torchtune-tiny-llama2/tiny_llama2_checkpoint.pt", "torchtune-tiny-llama2/tensors.json"}};
  for (const auto& [file, golden_file] : kFiles) {
    const auto path = lm_test::test_data(std::string("models/") + file);
    const auto golden_path = lm_test::test_data(std::string("models/") + golden_file);
    if (!path || !golden_path) return;
    CAPTURE(file);
    std::ifstream in(*golden_path);
    const json golden = json::parse(in)["tensors"];
    const MappedFile mapped(*path);
    const TensorMap tensors = parse_torch(mapped.bytes(), *path);
    CHECK(tensors.size() == golden.size());
    for (const auto& [name, want] : golden.items()) {
      CAPTURE(name);
      const auto it = tensors.find(name);
      REQUIRE(it != tensors.end());
      CHECK(it->second.shape == want["shape"].get<Shape>());
      if (want["dtype"] != "float32") {
        CHECK(it->second.dtype != DType::f32);
        continue;
      }
      std::vector<float> x(static_cast<size_t>(it->second.numel()));
      to_f32(it->second, 0, it->second.numel(), x.data());
      double sum = 0, absolute = 0;
      for (const float v : x) {
        sum += static_cast<double>(v);
        absolute += std::fabs(static_cast<double>(v));
      }
      CHECK(std::fabs(sum - want["sum"].get<double>()) <= 1e-6 * absolute + 1e-6);
      for (size_t i = 0; i < want["first"].size(); ++i)
        CHECK(static_cast<double>(x[i]) ==
              doctest::Approx(want["first"][i].get<double>()).epsilon(1e-6));
    }
    std::printf("table: torch %-48s %3zu tensors equal\n", file, golden.size());
  }
}

TEST_CASE("torch checkpoints: nested containers, shared storages, offsets and scalars") {
  const std::string body = "}(" + text("model") + "ccollections\nOrderedDict\n)R(" + text("w") +
                           tensor("0", 6, {integer(2), integer(2)}, {integer(2), integer(1)}, 2) +
                           text("v") + tensor("0", 6, {}, {}) + "u" + text("list") + "](" +
                           tensor("0", 6, {integer(1), integer(6)}, {integer(99), integer(1)}) +
                           "e" + text("step") + integer(7) + "u";
  const std::string bytes = checkpoint(body);
  const TensorMap t = parse(bytes);
  REQUIRE(t.size() == 3);
  CHECK(t.at("model.w").shape == Shape{2, 2});
  CHECK(t.at("model.v").shape.empty());
  CHECK(t.at("list.0").shape == Shape{1, 6});
  CHECK(t.at("model.w").data - t.at("model.v").data == 8);
}

TEST_CASE("a folder with pytorch_model.bin, whole or in shards, opens like one with safetensors") {
  const lm_test::TemporaryFolder folder;
  const auto write = [&](const char* name, const std::string& bytes) {
    std::ofstream(folder.path / name, std::ios::binary) << bytes;
  };
  const auto one = [](const char* name) {
    return checkpoint("}" + text(name) + tensor("0", 6, {integer(6)}, {integer(1)}) + "s");
  };
  write("pytorch_model.bin", one("w"));
  CHECK(open_checkpoint(folder.path.string()).tensors.contains("w"));
  write("pytorch_model-00001-of-00002.bin", one("a"));
  write("pytorch_model-00002-of-00002.bin", one("b"));
  write(
      "pytorch_model.bin.index.json",
      R"({"weight_map":{"a":"pytorch_model-00001-of-00002.bin","b":"pytorch_model-00002-of-00002.bin"}})");
  const TensorFile file = open_checkpoint(folder.path.string());
  CHECK(file.tensors.size() == 2);
  CHECK(file.files.size() == 2);
}

TEST_CASE("torch checkpoints: code, foreign opcodes and lies are refused by name") {
  const auto fails = [](const std::string& bytes, const char* part) {
    ErrorCode code{};
    const std::string message = error_of(bytes, &code);
    CHECK_MESSAGE(message.find(part) != std::string::npos, message);
    CHECK((code == ErrorCode::bad_file || code == ErrorCode::unsupported));
  };
  fails(checkpoint("cposix\nsystem\n(" + text("echo") + "tR"), "posix.system");
  fails(checkpoint("cbuiltins\neval\n(" + text("1") + "tR"), "builtins.eval");
  fails(checkpoint(text("os") + text("system") + "\x93"), "os.system");
  fails(checkpoint("(ios\nsystem\n"), "opcode 0x69");
  fails(checkpoint("I1\n"), "opcode 0x49");
  fails(checkpoint("}(K\1u"), "key without value");
  fails(checkpoint("K\1K\2K\3s"), "not a dictionary");
  fails(checkpoint("K\1K\2a"), "not a list");
  fails(checkpoint("0"), "empty stack");
  fails(checkpoint("t"), "no mark");
  fails(checkpoint("h\5"), "memo 5");
  fails(checkpoint("X" + u32(1000)), "needs 1000 bytes");
  fails(checkpoint("]q\1h\1ah\1"), "nested deeper");
  const auto one = [](const std::string& t) { return checkpoint("}" + text("w") + t + "s"); };
  fails(one(tensor("9", 6, {integer(6)}, {integer(1)})), "data/9");
  fails(one(tensor("0", 6, {integer(7)}, {integer(1)})), "which has 6");
  fails(one(tensor("0", 6, {integer(6)}, {integer(1)}, 1)), "elements 1..7");
  fails(one(tensor("0", 6, {integer(-6)}, {integer(1)})), "sizes");
  fails(one(tensor("0", 6, {integer(2), integer(3)}, {integer(1), integer(2)})), "contiguous");
  fails(one(tensor("0", 6, {integer(6)}, {integer(0)})), "contiguous");
  fails(one(tensor("0", 6, {integer(6)}, {})), "as many strides");
  fails(one(tensor("0", 6, {integer(6)}, {integer(1)}, 0, "ctorch\nQInt8Storage\n")),
        "QInt8Storage");
  fails(one("ctorch._utils\n_rebuild_tensor_v2\n)R"), "arguments of a tensor");
  fails(zip({{"a/x", "y"}}), "without data.pkl");
  fails(zip({{"a/data.pkl", pickle("}")}, {"a/byteorder", "big"}}), "big-endian");
  fails(zip({{"a/data.pkl", pickle("}"), 8}}), "compressed");
  fails(zip({{"a/data.pkl", pickle("}"), 0, 1}}), "encrypted");
  fails(zip({{"a/data.pkl", pickle("}")}, {"a/data.pkl", pickle("}")}}), "twice");
  fails("PK\3\4" + std::string(40, 'x'), "no zip directory");
}

TEST_CASE(
    "torch checkpoints: every prefix and every flipped byte is read or refused, never misread") {
  const std::string good =
      checkpoint("}" + text("w") + tensor("0", 6, {integer(6)}, {integer(1)}) + "s");
  REQUIRE(error_of(good).empty());
  for (size_t n = 0; n < good.size(); ++n) CHECK(!error_of(good.substr(0, n)).empty());
  for (size_t i = 0; i < good.size(); ++i)
    for (const int bit : {1, 16, 128}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ bit);
      error_of(bad);  // anything but a crash
    }
}

TEST_CASE("safetensors writer: shards and index open as one model; dtypes and bytes come back") {
  const lm_test::TemporaryFolder folder;
  std::vector<OutputTensor> tensors;
  const std::pair<const char*, DType> kTypes[] = {
      {"a", DType::bf16}, {"b", DType::f8_e4m3}, {"c", DType::i64}};
  for (const auto& [name, type] : kTypes)
    tensors.push_back(
        {name, type, {2, 4}, [n = dtype_bytes(type, 8), c = *name](const ByteSink& sink) {
           const std::string bytes(static_cast<size_t>(n), c);
           sink(std::as_bytes(std::span(bytes)));
         }});
  for (const uint64_t limit : {uint64_t{0}, uint64_t{30}}) {
    WriteOptions options;
    options.max_file_bytes = limit;
    const auto files = write_safetensors(folder.path.string(), "model", tensors, options);
    CHECK(files.size() == (limit ? 3 : 1));
    const TensorFile back = open_checkpoint(folder.path.string());
    REQUIRE(back.tensors.size() == 3);
    for (const auto& [name, type] : kTypes) {
      const TensorView& v = back.tensors.at(name);
      CHECK(v.dtype == type);
      CHECK(v.shape == Shape{2, 4});
      for (int64_t i = 0; i < v.size_bytes(); ++i)
        CHECK(v.data[i] == static_cast<std::byte>(*name));
    }
    std::filesystem::remove(folder.path / "model.safetensors");
  }
  tensors[0].dtype = DType::q4_0;
  tensors[0].shape = {32};
  CHECK_THROWS_AS(write_safetensors(folder.path.string(), "m", tensors), Error);
}
