#include "runtime/history.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

using lm::History;

namespace {

struct Folder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("lm_history_" + std::to_string(::getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string file() const { return (path / "state" / "history").string(); }
};

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream out;
  out << file.rdbuf();
  return out.str();
}

}  // namespace

TEST_CASE("history: entries survive, repeats and secrets do not, multi-line inputs are one entry") {
  const Folder folder;
  History one(folder.file());
  one.load();
  for (const char* input :
       {"a = 1", "a = 1", "do\n  x = '\\n'\nend", " hidden()", "token = 'x'", "f{api_key=\"x\"}",
        "t['password'] = 1", "max_tokens == 3", "m:stream{on_token = f}", ""})
    one.add(input);
  History two(folder.file());
  two.load();
  CHECK(two.entries() == std::vector<std::string>{"a = 1", "do\n  x = '\\n'\nend",
                                                  "max_tokens == 3", "m:stream{on_token = f}"});
  CHECK(content(folder.file()) ==
        "a = 1\ndo\\n  x = '\\\\n'\\nend\nmax_tokens == 3\n"
        "m:stream{on_token = f}\n");
  struct stat info {};
  REQUIRE(::stat(folder.file().c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
}

TEST_CASE("history: several shells at once lose nothing") {
  const Folder folder;
  std::vector<std::thread> shells;
  for (int n = 0; n < 4; ++n)
    shells.emplace_back([&folder, n] {
      History history(folder.file());
      history.load();
      for (int i = 0; i < 100; ++i)
        history.add("shell " + std::to_string(n) + " entry " + std::to_string(i));
    });
  for (std::thread& shell : shells) shell.join();
  History all(folder.file());
  all.load();
  CHECK(all.entries().size() == 400);
}

TEST_CASE("history: damaged, over-long and unwritable files are tolerated") {
  const Folder folder;
  std::filesystem::create_directories(folder.path / "state");
  std::ofstream(folder.file(), std::ios::binary)
      << std::string("good\n\0\xff\x1b[31m\xc3\n\n\nhalf a li", 25);
  History damaged(folder.file());
  damaged.load();
  CHECK(damaged.entries().front() == "good");
  damaged.add("next");
  CHECK(content(folder.file()).ends_with("\nnext\n"));
  {
    std::ofstream file(folder.file());
    for (int i = 0; i < 16000; ++i) file << "entry " << i << "\n";
  }
  History longer(folder.file());
  longer.load();
  CHECK(longer.entries().size() == History::kMaxEntries);
  CHECK(longer.entries().back() == "entry 15999");
  CHECK(content(folder.file()).starts_with("entry 6000\n"));
  History nowhere("/proc/none/history");
  nowhere.load();
  nowhere.add("kept in memory");
  CHECK(nowhere.entries().size() == 1);
  History off("");
  off.load();
  off.add("x");
  CHECK(off.entries().size() == 1);
}
