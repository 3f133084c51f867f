#include "engine/core/mapped_file.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "engine/core/error.h"

using lm::Error;
using lm::ErrorCode;

TEST_CASE(
    "write_file_atomic: writes, replaces, and leaves nothing behind when the target cannot be "
    "written") {
  const auto dir =
      std::filesystem::temp_directory_path() / ("lm_mapped_" + std::to_string(::getpid()));
  std::filesystem::create_directories(dir);
  const std::string path = dir / "file";
  const std::string one = "one", two = "second";
  lm::write_file_atomic(path, std::as_bytes(std::span(one)));
  lm::write_file_atomic(path, std::as_bytes(std::span(two)));
  CHECK(lm::read_file(path) == two);
  const lm::MappedFile mapped(path);
  CHECK(mapped.bytes().size() == two.size());
  try {
    lm::write_file_atomic((dir / "missing" / "file").string(), std::as_bytes(std::span(one)));
    FAIL("expected an error");
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::not_found);
  }
  CHECK(std::distance(std::filesystem::directory_iterator(dir), {}) == 1);
  std::filesystem::remove_all(dir);
}

TEST_CASE("MappedFile: a missing file and a folder are named in the error") {
  CHECK_THROWS_WITH_AS(lm::MappedFile("/no/such/file"), doctest::Contains("/no/such/file"), Error);
  CHECK_THROWS_WITH_AS(lm::MappedFile("/tmp"), doctest::Contains("not a regular file"), Error);
}
