// Ends a stream of text at the first stop string: holds back what may be the beginning of one, cuts
// where one is found. The result does not depend on how the text was cut into pieces.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lm {

// For one thread at a time.
class StopStrings {
 public:
  // Empty strings are ignored.
  explicit StopStrings(std::vector<std::string> stops);

  // Text that is safe to show after adding `text`. Once stopped(), nothing more comes out. Of
  // several stop strings the one that is complete first ends the text, of those the longest.
  std::string push(std::string_view text);
  // What was held back, when the stream ends without a stop string.
  std::string finish();

  bool stopped() const { return stopped_; }
  // The stop string that was found; empty before.
  const std::string& matched() const { return matched_; }

 private:
  std::vector<std::string> stops_;
  std::string held_, matched_;
  bool stopped_ = false;
};

}  // namespace lm
