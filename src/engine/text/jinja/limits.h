// What a rendering may use: every operation whose cost depends on data counts its work and its
// bytes, so that a hostile template ends with an error soon, whatever it does.
#pragma once

#include <cstddef>

namespace lm::jinja {

inline constexpr size_t kMaxWork = 400'000'000;  // elementary operations: some seconds at most
inline constexpr size_t kMaxBytes = size_t{256} << 20;  // all strings and lists made on the way
inline constexpr int kMaxValueDepth = 1000;  // of lists and dictionaries inside each other

// The counters of the rendering that this thread runs, while the object lives. `line`: where the
// rendering is, for messages.
class Limits {
 public:
  explicit Limits(const int* line);
  ~Limits();
  Limits(const Limits&) = delete;
  Limits& operator=(const Limits&) = delete;

 private:
  friend void spend_work(size_t units);
  friend void spend_bytes(size_t bytes);
  Limits* outer_;
  const int* line_;
  size_t work_ = 0, bytes_ = 0;
};

// Throw Error{bad_option} with the line when a limit is passed; do nothing outside of a rendering.
void spend_work(size_t units);
void spend_bytes(size_t bytes);

}  // namespace lm::jinja
