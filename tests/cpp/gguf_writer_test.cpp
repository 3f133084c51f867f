// GGUF files written here, read back; that llama.cpp reads them is checked by quantize_test (whole
// files equal its own).
#include "engine/formats/gguf_writer.h"

#include <doctest/doctest.h>

#include <cstring>
#include <fstream>

#include "engine/core/error.h"
#include "engine/formats/gguf.h"
#include "test_data.h"

using namespace lm;

namespace {

OutputTensor tensor(const std::string& name, DType type, Shape shape, std::string bytes) {
  return {name, type, std::move(shape), [bytes](const ByteSink& sink) {
            const auto all = std::as_bytes(std::span(bytes));
            sink(all.first(all.size() / 2));
            sink(all.subspan(all.size() / 2));
          }};
}

std::string bytes_of(const GgufFile& f, const char* name) {
  const TensorView* v = f.tensor(name);
  REQUIRE(v != nullptr);
  return {reinterpret_cast<const char*>(v->data), static_cast<size_t>(v->size_bytes())};
}

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.message();
  }
  return "";
}

}  // namespace

TEST_CASE("GGUF writer: metadata of every kind, tensors and alignment come back") {
  const lm_test::TemporaryFolder folder;
  const std::string path = folder.path / "a.gguf";
  GgufMetadata m;
  m.set_string("general.architecture", "llama");
  m.set_u32("a.u32", 4294967295u);
  m.set_i32("a.i32", -5);
  m.set_u16("a.u16", 65535);
  m.set_f32("a.f32", 0.25);
  m.set_bool("a.bool", true);
  m.set_strings("a.strings", std::vector<std::string>{"", "ü", std::string("nul\0l", 5)});
  m.set_floats("a.floats", std::vector<float>{1.5f, -2});
  m.set_i32s("a.ints", std::vector<int32_t>{-1, 2});
  m.set_bools("a.bools", {true, false});
  m.set_f32("a.f32", 0.5);  // replaces in place
  GgufWriteOptions options;
  options.alignment = 64;
  uint64_t last = 0;
  options.progress = [&](uint64_t done, uint64_t total) {
    CHECK(done >= last);
    CHECK(total == 12 + 34);
    last = done;
  };
  const auto files = write_gguf(path, m,
                                {tensor("t", DType::f32, {3}, "abcdefghijkl"),
                                 tensor("q", DType::q8_0, {1, 32}, std::string(34, 'q'))},
                                options);
  CHECK(files == std::vector<std::string>{path});
  CHECK(last == 46);
  const GgufFile f = GgufFile::open(path);
  CHECK(f.version() == 3);
  CHECK(f.get_int("a.u32") == 4294967295);
  CHECK(f.get_int("a.i32") == -5);
  CHECK(f.get_int("a.u16") == 65535);
  CHECK(f.get_float("a.f32") == 0.5);
  CHECK(f.get_bool("a.bool") == true);
  CHECK(f.get_strings("a.strings") ==
        std::vector<std::string_view>{"", "ü", std::string_view("nul\0l", 5)});
  CHECK(f.get_floats("a.floats") == std::vector<float>{1.5f, -2});
  CHECK(f.get_ints("a.ints") == std::vector<int64_t>{-1, 2});
  CHECK(f.get_ints("a.bools") == std::vector<int64_t>{1, 0});
  CHECK(f.get_int("general.alignment") == 64);
  CHECK(bytes_of(f, "t") == "abcdefghijkl");
  CHECK(bytes_of(f, "q") == std::string(34, 'q'));
  CHECK(f.tensor("q")->shape == Shape{1, 32});
  CHECK((f.tensor("q")->data - f.files()[0]->bytes().data()) % 64 == 0);
}

TEST_CASE("GGUF writer: a split set opens as one model") {
  const lm_test::TemporaryFolder folder;
  GgufMetadata m;
  m.set_string("general.architecture", "llama");
  GgufWriteOptions options;
  options.max_file_bytes = 100;
  std::vector<OutputTensor> tensors;
  for (int i = 0; i < 5; ++i)
    tensors.push_back(tensor("t" + std::to_string(i), DType::f32, {10},
                             std::string(40, static_cast<char>('a' + i))));
  const auto files = write_gguf((folder.path / "m.gguf").string(), m, tensors, options);
  REQUIRE(files.size() == 3);
  CHECK(files[1] == (folder.path / "m-00002-of-00003.gguf").string());
  const GgufFile f = GgufFile::open(files[0]);
  CHECK(f.tensor_names().size() == 5);
  CHECK(f.get_int("split.tensors.count") == 5);
  for (int i = 0; i < 5; ++i)
    CHECK(bytes_of(f, ("t" + std::to_string(i)).c_str()) ==
          std::string(40, static_cast<char>('a' + i)));
  CHECK(error_of([&] { (void)GgufFile::open(files[1]); }).find("part 2 of 3") != std::string::npos);
}

TEST_CASE("GGUF writer: what cannot be written is refused and leaves nothing behind") {
  const lm_test::TemporaryFolder folder;
  const std::string path = folder.path / "a.gguf";
  std::ofstream(path) << "old";
  const auto fails = [&](const std::vector<OutputTensor>& tensors, const char* part) {
    const std::string message = error_of([&] { write_gguf(path, {}, tensors); });
    CHECK_MESSAGE(message.find(part) != std::string::npos, message);
  };
  fails({tensor("t", DType::f32, {1}, "abcd"), tensor("t", DType::f32, {1}, "abcd")},
        "appears twice");
  fails({tensor(std::string(64, 'n'), DType::f32, {1}, "abcd")}, "64 bytes");
  fails({tensor("t", DType::u8, {4}, "abcd")}, "no type for u8");
  fails({tensor("t", DType::q8_0, {2, 16}, std::string(34, 'x'))}, "multiple of 32");
  fails({tensor("t", DType::f32, {2}, "abcd")}, "gave 4 bytes; 8 were expected");
  CHECK(error_of([&] {
          write_gguf((folder.path / "no" / "x.gguf").string(), {}, {});
        }).find("No such file") != std::string::npos);
  std::ifstream in(path);
  std::string text;
  in >> text;
  CHECK(text == "old");
  size_t entries = 0;
  for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator(folder.path)) ++entries;
  CHECK(entries == 1);
}
