#include "runtime/event_loop.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>

#include "engine/core/error.h"
#include "runtime/console.h"
#include "runtime/interrupt.h"

using namespace std::chrono_literals;

TEST_CASE(
    "event loop: work of many threads runs on the main thread, results and errors come back") {
  lm::EventLoop loop;
  std::atomic<int> answered{0};
  int sum = 0;  // main thread only
  std::vector<std::thread> threads;
  for (int n = 0; n < 4; ++n)
    threads.push_back(lm::spawn_thread([&] {
      for (int i = 0; i < 200; ++i) {
        auto result = loop.call([&, i] { return sum += i, i * 2; });
        if (result.get() == i * 2) ++answered;
      }
      auto failing = loop.post([] { throw lm::Error(lm::ErrorCode::io, "broken"); });
      CHECK_THROWS_WITH_AS(failing.get(), "broken", lm::Error);
      ++answered;
    }));
  while (answered < 4 * 201) {
    loop.wait(-1, 100ms);
    loop.pump();
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(sum == 4 * 199 * 100);
}

TEST_CASE(
    "event loop: wait ends for input, posts and timers; pump is fair; closing answers what is "
    "left") {
  lm::EventLoop loop;
  CHECK_FALSE(loop.wait(-1, 1ms));
  int fds[2];
  REQUIRE(::pipe(fds) == 0);
  REQUIRE(::write(fds[1], "x", 1) == 1);
  CHECK(loop.wait(fds[0], 1000ms));
  for (int i = 0; i < 10; ++i) loop.post([] { std::this_thread::sleep_for(6ms); });
  CHECK(loop.pump() < 10);
  int ticks = 0;
  loop.add_timer(1ms, [&] { ++ticks; });
  while (ticks == 0) {
    loop.wait(-1, -1ms);
    loop.pump();
  }
  auto left = loop.post([] {});
  loop.close();
  CHECK_THROWS_AS(left.get(), lm::Error);
  CHECK_THROWS_AS(loop.post([] {}).get(), lm::Error);
  ::close(fds[0]);
  ::close(fds[1]);
}

TEST_CASE("console: output that is no terminal arrives whole and in order from several threads") {
  int fds[2];
  REQUIRE(::pipe(fds) == 0);
  {
    lm::Console console(fds[1], fds[1]);
    std::vector<std::thread> threads;
    for (int n = 0; n < 4; ++n)
      threads.push_back(lm::spawn_thread([&console, n] {
        for (int i = 0; i < 100; ++i) console.write("row " + std::to_string(n) + "\n");
      }));
    for (std::thread& thread : threads) thread.join();
    console.flush();
  }
  ::close(fds[1]);
  std::string all;
  char bytes[4096];
  for (ssize_t n; (n = ::read(fds[0], bytes, sizeof bytes)) > 0;)
    all.append(bytes, static_cast<size_t>(n));
  ::close(fds[0]);
  CHECK(all.size() == 4 * 100 * 6);
  CHECK(std::count(all.begin(), all.end(), '\n') == 400);
}

TEST_CASE("console: a stdout that takes nothing is an error") {
  int fds[2];
  REQUIRE(::pipe(fds) == 0);
  ::close(fds[0]);
  std::signal(SIGPIPE, SIG_IGN);
  lm::Console console(fds[1], 2);
  CHECK_THROWS_WITH_AS((console.write("x"), console.flush()), doctest::Contains("Broken pipe"),
                       lm::Error);
  ::close(fds[1]);
}
