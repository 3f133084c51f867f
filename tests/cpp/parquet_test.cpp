// Parquet files that pyarrow wrote (tests/data/make_parquet_goldens.py), and what pyarrow reads in
// them; then the same files damaged.
#include "engine/data/parquet.h"

#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/core/rng.h"

namespace lm {
namespace {

using nlohmann::json;

const std::string kFolder = std::string(LM_SOURCE_DIR) + "/tests/data/parquet/";

std::vector<json> expected() {
  std::ifstream in(kFolder + "expected.jsonl");
  std::vector<json> rows;
  for (std::string line; std::getline(in, line);) rows.push_back(json::parse(line));
  return rows;
}

std::vector<json> rows_of(const std::string& file) {
  std::vector<json> rows;
  read_rows(kFolder + file, [&](const SourceRow& row) {
    CHECK(row.line == static_cast<int64_t>(rows.size()) + 1);
    rows.push_back(json::parse(row.json));
    return true;
  });
  return rows;
}

// Reads what may be damaged; the error's message, or empty.
std::string read_all(const std::string& bytes) {
  try {
    read_parquet(std::as_bytes(std::span(bytes)), "x.parquet",
                 [](const SourceRow&) { return true; });
  } catch (const Error& e) {
    CHECK((e.code() == ErrorCode::bad_file || e.code() == ErrorCode::unsupported));
    return e.message();
  }
  return "";
}

constexpr const char* kFiles[] = {"snappy", "zstd",          "gzip", "plain",
                                  "pages2", "pages2-snappy", "delta"};

}  // namespace

TEST_CASE("Parquet: every codec, page version and encoding gives what pyarrow gives") {
  const std::vector<json> wanted = expected();
  REQUIRE(wanted.size() == 120);
  for (const std::string name : kFiles) {
    CAPTURE(name);
    const std::vector<json> rows = rows_of(name + ".parquet");
    REQUIRE(rows.size() == wanted.size());
    for (size_t i = 0; i < rows.size(); ++i) CHECK(rows[i] == wanted[i]);
  }
}

TEST_CASE("Parquet: maps become objects; columns of dates and bytes of fixed size are left out") {
  const std::vector<json> rows = rows_of("others.parquet");
  REQUIRE(rows.size() == 3);
  CHECK(rows[0] == json::parse(R"({"text": "one", "map": {"a": 1, "b": null}})"));
  CHECK(rows[1] == json::parse(R"({"text": "two", "map": {}})"));
  CHECK(rows[2] == json::parse(R"({"text": null, "map": null})"));
}

TEST_CASE("Parquet: damaged files are refused or read, and nothing else happens") {
  CHECK(read_all("").find("no Parquet file") != std::string::npos);
  CHECK(read_all("PAR1nothing here PAR1").find("x.parquet: ") == 0);
  Rng rng(1);
  int refused = 0;
  for (const std::string name : kFiles) {
    CAPTURE(name);
    const std::string good = read_file(kFolder + name + ".parquet");
    CHECK(read_all(good) == "");
    for (size_t n = 0; n < good.size(); n += good.size() / 20)
      CHECK(read_all(good.substr(0, n)) != "");
    for (int i = 0; i < 300; ++i) {
      std::string bad = good;
      for (int k = 0; k < 1 + i % 4; ++k)
        bad[static_cast<size_t>(rng.uniform() * static_cast<double>(bad.size()))] =
            static_cast<char>(rng.next());
      refused += !read_all(bad).empty();
    }
  }
  CHECK(refused > 500);
}

}  // namespace lm
