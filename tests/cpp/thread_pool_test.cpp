#include "engine/core/thread_pool.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

using namespace lm;

TEST_CASE(
    "ThreadPool: every item of every phase is done once, whatever the thread and chunk counts") {
  for (const int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    for (const int64_t n : {0, 1, 5, 100})
      for (const int64_t chunk : {1, 3, 1000}) {
        std::vector<std::atomic<int>> done(static_cast<size_t>(n));
        pool.run([&](Region& region) {
          for (int phase = 0; phase < 10; ++phase) {
            region.share(n, chunk, [&](int64_t begin, int64_t end) {
              for (int64_t i = begin; i < end; ++i)
                done[static_cast<size_t>(i)].fetch_add(1, std::memory_order_relaxed);
            });
            // share() ends with a barrier: this phase is complete on every thread.
            for (const auto& d : done)
              if (d.load(std::memory_order_relaxed) <= phase) std::abort();
          }
        });
        for (const auto& d : done) CHECK(d == 10);
      }
  }
}

TEST_CASE("ThreadPool: regions from several callers run one after the other") {
  ThreadPool pool(2);
  std::atomic<int> inside{0}, most{0}, total{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      for (int i = 0; i < 50; ++i)
        pool.run([&](Region& region) {
          if (region.thread() == 0) {
            const int now = ++inside;
            if (now > most) most = now;
            ++total;
          }
          region.barrier();
          if (region.thread() == 0) --inside;
          region.barrier();
        });
    });
  for (auto& t : callers) t.join();
  CHECK(most == 1);
  CHECK(total == 200);
}
