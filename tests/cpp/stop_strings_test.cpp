#include "engine/text/stop_strings.h"

#include <doctest/doctest.h>

TEST_CASE("StopStrings: cuts at a match, holds back what may become one") {
  lm::StopStrings stop({"</end>", "STOP"});
  CHECK(stop.push("text <") == "text ");
  CHECK(stop.push("/e") == "");
  CHECK(stop.push("x") == "</ex");
  CHECK(stop.push("more STO") == "more ");
  CHECK(stop.push("P and the rest") == "");
  CHECK(stop.stopped());
  CHECK(stop.matched() == "STOP");
  CHECK(stop.push("more") == "");
  CHECK(stop.finish() == "");
}

TEST_CASE("StopStrings: what is held comes out at the end; no stop strings hold nothing") {
  lm::StopStrings stop({"aab"});
  CHECK(stop.push("aaa") == "a");
  CHECK(stop.finish() == "aa");
  CHECK_FALSE(stop.stopped());
  lm::StopStrings none({""});
  CHECK(none.push("abc") == "abc");
}

TEST_CASE("StopStrings: the result does not depend on how the text is cut") {
  const std::string text = "xabcabdabcdz";
  for (const std::vector<std::string>& stops : {std::vector<std::string>{"abcd"},
                                                {"abd", "bd"},
                                                {"cab", "abdx"},
                                                {"abcdef", "bcd"},
                                                {"none"}}) {
    lm::StopStrings whole(stops);
    std::string expected = whole.push(text);
    expected += whole.finish();
    for (size_t mask = 0; mask < (size_t{1} << (text.size() - 1)); ++mask) {
      lm::StopStrings stop(stops);
      std::string got;
      size_t begin = 0;
      for (size_t i = 1; i <= text.size(); ++i) {
        if (i < text.size() && (mask >> (i - 1) & 1) == 0) continue;
        got += stop.push(std::string_view(text).substr(begin, i - begin));
        begin = i;
      }
      got += stop.finish();
      REQUIRE(got == expected);
      REQUIRE(stop.matched() == whole.matched());
    }
  }
}
