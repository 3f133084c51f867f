// What a server keeps: stored responses, files, batches and their results, in SQLite. What put()
// has taken is there after a crash. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lm::serve {

class Store {
 public:
  // path: the file, made where there is none; "": memory only. Throws io with SQLite's reason.
  explicit Store(const std::string& path);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Objects of a kind ("response", "file", "batch") by id; a body is JSON, data are bytes. Putting
  // an id again replaces it.
  void put(const std::string& kind, const std::string& id, const std::string& body,
           const std::string& data = {});
  // Changes the body only.
  void update(const std::string& kind, const std::string& id, const std::string& body);
  std::optional<std::string> get(const std::string& kind, const std::string& id) const;
  std::optional<std::string> data(const std::string& kind, const std::string& id) const;
  bool erase(const std::string& kind, const std::string& id);
  // Bodies, latest first.
  std::vector<std::string> list(const std::string& kind, int64_t most) const;

  // Results of a batch, by line of its input.
  void put_line(const std::string& batch, int64_t line, bool failed, const std::string& body);
  struct Line {
    int64_t number;
    bool failed;
    std::string body;
  };
  std::vector<Line> lines(const std::string& batch) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lm::serve
