// Hostile and damaged files: each lie gives an error that names it; nothing is read outside of the
// bytes.
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "engine/core/error.h"
#include "engine/formats/checkpoint.h"
#include "engine/formats/gguf.h"
#include "engine/formats/gguf_writer.h"
#include "engine/formats/model_config.h"

using namespace lm;

namespace {

// Builds the bytes of a GGUF file field by field.
struct Gguf {
  std::string bytes;
  template <typename T>
  Gguf& number(T value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Gguf& text(const std::string& s) {
    number<uint64_t>(s.size());
    bytes += s;
    return *this;
  }
  static Gguf header(uint64_t tensors, uint64_t values, uint32_t version = 3) {
    Gguf g;
    g.bytes = "GGUF";
    return g.number(version).number(tensors).number(values);
  }
  Gguf& tensor(const std::string& name, std::initializer_list<uint64_t> dims, uint32_t type,
               uint64_t offset) {
    text(name).number(static_cast<uint32_t>(dims.size()));
    for (const uint64_t d : dims) number(d);
    return number(type).number(offset);
  }
  Gguf& data(size_t n) {
    bytes.resize((bytes.size() + 31) / 32 * 32);
    bytes.append(n, '\1');
    return *this;
  }
  GgufFile parse() const { return GgufFile::parse(std::as_bytes(std::span(bytes)), "test.gguf"); }
};

// The message of the lm::Error that f throws; "" when it throws none.
template <typename F>
std::string error_of(F&& f, ErrorCode* code = nullptr) {
  try {
    f();
  } catch (const Error& e) {
    if (code) *code = e.code();
    return e.message();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string safetensors(const std::string& header, size_t data) {
  std::string bytes(8, '\0');
  const uint64_t n = header.size();
  std::memcpy(bytes.data(), &n, 8);
  return bytes + header + std::string(data, '\0');
}

std::string parse_error(const std::string& bytes) {
  return error_of([&] { parse_safetensors(std::as_bytes(std::span(bytes)), "test.safetensors"); });
}

struct Folder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("lm_formats_" + std::to_string(::getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path / name) << text;
    return (path / name).string();
  }
};

}  // namespace

TEST_CASE("GGUF: metadata of every type, and tensors with row-major shapes") {
  Gguf g = Gguf::header(1, 5);
  g.text("a.u8").number<uint32_t>(0).number<uint8_t>(200);
  g.text("a.f64").number<uint32_t>(12).number(0.5);
  g.text("a.name").number<uint32_t>(8).text("x");
  g.text("a.list")
      .number<uint32_t>(9)
      .number<uint32_t>(5)
      .number<uint64_t>(2)
      .number<int32_t>(-1)
      .number<int32_t>(7);
  g.text("a.words").number<uint32_t>(9).number<uint32_t>(8).number<uint64_t>(2).text("one").text(
      "");
  g.tensor("t", {4, 2}, 0, 0).data(32);
  const GgufFile f = g.parse();
  CHECK(f.get_int("a.u8") == 200);
  CHECK(f.get_float("a.f64") == 0.5);
  CHECK(f.get_string("a.name") == "x");
  CHECK(f.get_ints("a.list") == std::vector<int64_t>{-1, 7});
  CHECK(f.get_strings("a.words") == std::vector<std::string_view>{"one", ""});
  CHECK(!f.get_int("absent"));
  CHECK(f.tensor("t")->shape == Shape{2, 4});
  CHECK(contains(error_of([&] { (void)f.get_int("a.name"); }), "expected an integer"));
  CHECK(contains(error_of([&] { (void)f.get_string("a.u8"); }), "not a string"));
}

TEST_CASE("GGUF: lies are named") {
  const auto fails = [](const Gguf& g, const char* part) {
    ErrorCode code{};
    const std::string message = error_of([&] { (void)g.parse(); }, &code);
    CHECK_MESSAGE(contains(message, part), message);
    CHECK((code == ErrorCode::bad_file || code == ErrorCode::unsupported));
  };
  fails(Gguf{}, "not a GGUF file");
  fails(Gguf::header(0, 0, 4), "version 4");
  fails(Gguf::header(0, 0, 0), "version 0");
  fails(Gguf::header(0, 0, 0x03000000), "big-endian");
  fails(Gguf::header(uint64_t{1} << 60, 0), "claims 1152921504606846976 tensors");
  fails(Gguf::header(0, uint64_t{1} << 60), "cannot hold them");
  fails(Gguf::header(0, 1).number<uint64_t>(uint64_t{1} << 62).data(64), "needs");
  fails(Gguf::header(0, 1).text("k").number<uint32_t>(99).data(64), "value type 99");
  fails(Gguf::header(0, 1)
            .text("k")
            .number<uint32_t>(9)
            .number<uint32_t>(10)
            .number<uint64_t>(uint64_t{1} << 61)
            .data(64),
        "elements");
  fails(Gguf::header(0, 1)
            .text("k")
            .number<uint32_t>(9)
            .number<uint32_t>(8)
            .number<uint64_t>(uint64_t{1} << 60)
            .data(64),
        "strings");
  fails(
      Gguf::header(0, 1).text("k").number<uint32_t>(9).number<uint32_t>(9).number<uint64_t>(1).data(
          64),
      "array of arrays");
  fails(Gguf::header(0, 2)
            .text("k")
            .number<uint32_t>(0)
            .number<uint8_t>(1)
            .text("k")
            .number<uint32_t>(0)
            .number<uint8_t>(1)
            .data(32),
        "twice");
  fails(Gguf::header(1, 0).tensor("t", {uint64_t{1} << 40, uint64_t{1} << 40}, 0, 0).data(64),
        "2^48");
  fails(Gguf::header(1, 0).tensor("t", {0, 4}, 0, 0).data(64), "must be positive");
  fails(Gguf::header(1, 0).tensor("t", {2, 2, 2, 2, 2}, 0, 0).data(64), "5 dimensions");
  fails(Gguf::header(1, 0).tensor("t", {4}, 77, 0).data(64), "GGML type 77");
  fails(Gguf::header(1, 0).tensor("t", {33}, 2, 0).data(64), "multiple of 32");
  fails(Gguf::header(1, 0).tensor("t", {64}, 0, 0).data(64), "truncated or wrong");
  fails(Gguf::header(1, 0).tensor("t", {4}, 0, 7).data(64), "multiple of 32");
  fails(Gguf::header(1, 0).tensor("t", {4}, 0, ~uint64_t{31}).data(64), "truncated or wrong");
  fails(Gguf::header(2, 0).tensor("t", {4}, 0, 0).tensor("t", {4}, 0, 0).data(64), "twice");
  fails(
      Gguf::header(0, 1).text("general.alignment").number<uint32_t>(4).number<uint32_t>(3).data(64),
      "power of two");
}

// Version 1 (ggml docs/gguf.md, "v1"): counts, lengths and dimensions have 32 bits.
TEST_CASE("GGUF: version 1 is read") {
  Gguf g;
  g.bytes = "GGUF";
  const auto text = [&](const std::string& s) {
    g.number(static_cast<uint32_t>(s.size()));
    g.bytes += s;
  };
  g.number<uint32_t>(1).number<uint32_t>(1).number<uint32_t>(3);
  text("a.name");
  g.number<uint32_t>(8);
  text("xyz");
  text("a.words");
  g.number<uint32_t>(9).number<uint32_t>(8).number<uint32_t>(2);
  text("one");
  text("two");
  text("a.n");
  g.number<uint32_t>(4).number<uint32_t>(7);
  text("t");
  g.number<uint32_t>(2).number<uint32_t>(4).number<uint32_t>(2);
  g.number<uint32_t>(0).number<uint64_t>(0).data(32);
  const GgufFile f = g.parse();
  CHECK(f.version() == 1);
  CHECK(f.get_string("a.name") == "xyz");
  CHECK(f.get_strings("a.words") == std::vector<std::string_view>{"one", "two"});
  CHECK(f.get_int("a.n") == 7);
  CHECK(f.tensor("t")->shape == Shape{2, 4});
  GgufMetadata copy;
  copy.copy_all(f);
  std::string again = "GGUF";
  for (const uint64_t n : {uint64_t{3}, uint64_t{0}, uint64_t{3}})
    again.append(reinterpret_cast<const char*>(&n), n == 3 && again.size() == 4 ? 4 : 8);
  again += copy.bytes();
  const GgufFile v3 = GgufFile::parse(std::as_bytes(std::span(again)), "copy");
  CHECK(v3.get_string("a.name") == "xyz");
  CHECK(v3.get_strings("a.words") == std::vector<std::string_view>{"one", "two"});
}

TEST_CASE("GGUF: every prefix of a file is refused or read, never misread") {
  Gguf g = Gguf::header(1, 1);
  g.text("a.name").number<uint32_t>(8).text("value").tensor("weight", {8, 4}, 0, 0).data(128);
  for (size_t n = 0; n < g.bytes.size(); ++n) {
    Gguf cut;
    cut.bytes = g.bytes.substr(0, n);
    CHECK(!error_of([&] { (void)cut.parse(); }).empty());
  }
  CHECK(error_of([&] { (void)g.parse(); }).empty());
}

TEST_CASE("safetensors: shapes and bytes must agree; tensors neither overlap nor leave holes") {
  CHECK(
      parse_error(
          safetensors(
              R"({"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"__metadata__":{"x":"y"}})",
              16))
          .empty());
  const auto fails = [](const std::string& bytes, const char* part) {
    CHECK_MESSAGE(contains(parse_error(bytes), part), parse_error(bytes));
  };
  fails("short", "at least 8");
  fails(std::string(8, '\xff'), "header of");
  fails(safetensors("[1]", 0), "not a JSON object");
  fails(safetensors("{", 0), "not valid JSON");
  fails(safetensors(std::string(400, '[') + std::string(400, ']'), 0), "deeper");
  fails(safetensors(R"({"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})", 8),
        "truncated");
  fails(safetensors(R"({"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,12]}})", 12),
        "needs 16 bytes");
  fails(
      safetensors(
          R"({"a":{"dtype":"F32","shape":[1152921504606846976,1152921504606846976],"data_offsets":[0,4]}})",
          4),
      "2^48");
  fails(safetensors(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4),
        "whole number");
  fails(safetensors(R"({"a":{"dtype":"Q9","shape":[1],"data_offsets":[0,4]}})", 4), "dtype \"Q9\"");
  fails(
      safetensors(
          R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
          6),
      "overlap");
  fails(safetensors(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})", 4), "expected 0");
  fails(safetensors(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 4),
        "follow the last tensor");
}

// The list of dtypes and their bits: huggingface/safetensors, safetensors/src/tensor.rs.
TEST_CASE("safetensors: every dtype of the format is read with its size") {
  const std::pair<const char*, size_t> kBits[] = {
      {"BOOL", 8},        {"F4", 4},         {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
      {"I8", 8},          {"F8_E5M2", 8},    {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"I16", 16},
      {"U16", 16},        {"F16", 16},       {"BF16", 16},   {"I32", 32},    {"U32", 32},
      {"F32", 32},        {"C64", 64},       {"F64", 64},    {"I64", 64},    {"U64", 64},
      {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}};
  for (const auto& [name, bits] : kBits) {
    const size_t bytes = 8 * bits / 8;
    CHECK(parse_error(safetensors("{\"a\":{\"dtype\":\"" + std::string(name) +
                                      "\",\"shape\":[2,4],\"data_offsets\":[0," +
                                      std::to_string(bytes) + "]}}",
                                  bytes)) == "");
  }
  CHECK(contains(parse_error(safetensors(
                     "{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,2]}}", 2)),
                 "3 elements of f4_e2m1; they are stored 2 together"));
}

TEST_CASE("safetensors: shard names stay inside the folder") {
  const Folder folder;
  folder.write("model.safetensors.index.json", R"({"weight_map":{"a":"../secret.safetensors"}})");
  CHECK(contains(error_of([&] { open_checkpoint(folder.path.string()); }), "leaves the folder"));
  folder.write("model.safetensors.index.json", R"({"weight_map":{"a":"gone.safetensors"}})");
  CHECK(contains(error_of([&] { open_checkpoint(folder.path.string()); }), "gone.safetensors"));
  folder.write("model.safetensors.index.json", R"({"weight_map":[]})");
  CHECK(contains(error_of([&] { open_checkpoint(folder.path.string()); }), "weight_map"));
}

TEST_CASE("config.json: missing, wrong and absurd values are named") {
  const Folder folder;
  const auto fails = [&](const char* text, const char* part) {
    const std::string path = folder.write("config.json", text);
    const std::string message = error_of([&] { config_from_json(path); });
    CHECK_MESSAGE(contains(message, part), message);
  };
  fails("{}", "model_type");
  fails(R"({"model_type":"llama"})", "\"hidden_size\" is missing");
  fails(R"({"model_type":"llama","hidden_size":"big"})", "expected a whole number");
  fails(R"({"model_type":"llama","hidden_size":1.5})", "expected a whole number");
  fails(
      R"({"model_type":"llama","hidden_size":64,"num_hidden_layers":2,"num_attention_heads":0,"vocab_size":10})",
      "0 attention heads");
  fails(
      R"({"model_type":"llama","hidden_size":64,"num_hidden_layers":1000000000,"num_attention_heads":4,"vocab_size":10})",
      "number of layers");
  fails(
      R"({"model_type":"llama","hidden_size":64,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":3,"vocab_size":10})",
      "evenly");
}
