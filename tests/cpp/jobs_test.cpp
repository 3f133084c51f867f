#include "runtime/jobs.h"

#include <doctest/doctest.h>

#include "bindings/value_copy.h"
#include "engine/core/interrupt.h"

using lm::JobState;
using namespace std::chrono_literals;

namespace {
lm::JobSpec named(const char* name) {
  return {name, "", "", "", {}};
}
}  // namespace

TEST_CASE("jobs: result, error, progress, stop, queue") {
  std::atomic<bool> go{false};
  lm::Jobs jobs(
      [&](lm::JobContext& context, const lm::JobSpec& spec) -> std::vector<lm::Value> {
        context.progress(0.5, "half");
        if (spec.name == "fail") throw lm::Error(lm::ErrorCode::io, "broken");
        while (spec.name == "spin") {
          lm::check_interrupt();
          std::this_thread::sleep_for(1ms);
        }
        while (spec.name == "wait" && !go) std::this_thread::sleep_for(1ms);
        return {spec.name};
      },
      2);
  std::atomic<int> ended{0};
  jobs.set_on_end([&](const lm::JobInfo&) { ++ended; });
  const int good = jobs.spawn(named("good"));
  CHECK(jobs.wait(good, 10s) == JobState::done);
  CHECK(std::get<std::string>(jobs.result(good).at(0)) == "good");
  const int bad = jobs.spawn(named("fail"));
  CHECK(jobs.wait(bad, 10s) == JobState::failed);
  CHECK(jobs.info(bad)->error->code() == lm::ErrorCode::io);
  CHECK(jobs.info(bad)->message == "half");
  const int spin = jobs.spawn(named("spin")), wait = jobs.spawn(named("wait"));
  const int queued = jobs.spawn(named("good")), dropped = jobs.spawn(named("good"));
  CHECK(jobs.info(queued)->state == JobState::queued);
  CHECK(jobs.stop(dropped));
  CHECK(jobs.info(dropped)->state == JobState::interrupted);
  CHECK(jobs.status_line().find("[3] spin") != std::string::npos);
  CHECK(jobs.stop(spin));
  CHECK(jobs.wait(spin, 10s) == JobState::interrupted);
  go = true;
  CHECK(jobs.wait(wait, 10s) == JobState::done);
  CHECK(jobs.wait(queued, 10s) == JobState::done);
  CHECK_FALSE(jobs.wait(99, 0s).has_value());
  const int last = jobs.spawn(named("spin"));
  CHECK(jobs.stop_all(10s));
  CHECK(jobs.info(last)->state == JobState::interrupted);
  CHECK_THROWS_AS(jobs.spawn(named("late")), lm::Error);
  CHECK(ended == 5);
}

TEST_CASE("jobs: the time left is what the job says, else what its progress so far means") {
  std::atomic<bool> told{false}, go{false};
  lm::Jobs jobs([&](lm::JobContext& context, const lm::JobSpec& spec) -> std::vector<lm::Value> {
    // A resumed run begins where it was: its start says nothing.
    if (spec.name == "resumed")
      context.progress(0.9, "", 4000.0);
    else
      context.progress(0.9, "");
    told = true;
    while (!go) std::this_thread::sleep_for(1ms);
    return {};
  });
  for (const char* name : {"resumed", "fresh"}) {
    const int id = jobs.spawn(named(name));
    while (!told) std::this_thread::sleep_for(1ms);
    const auto left = jobs.info(id)->eta_s;
    REQUIRE(left.has_value());
    const bool resumed = std::string(name) == "resumed";
    CHECK((*left <= 4000.0 && (*left > 3000.0) == resumed));
    CHECK((jobs.status_line().find("eta 1:06:") != std::string::npos) == resumed);
    go = true;
    CHECK(jobs.wait(id, 10s) == JobState::done);
    CHECK_FALSE(jobs.info(id)->eta_s.has_value());
    told = go = false;
  }
}

TEST_CASE("jobs: many short ones from a shared owner") {
  lm::Jobs jobs([](lm::JobContext&, const lm::JobSpec&) { return std::vector<lm::Value>{1.0}; });
  std::vector<int> ids;
  for (int i = 0; i < 50; ++i) ids.push_back(jobs.spawn(named("short")));
  for (const int id : ids) CHECK(jobs.wait(id, 10s) == JobState::done);
}
