// Background jobs: each runs on a thread of its own, with progress, stop and a result. Free of Lua:
// what a job does is a function. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/core/error.h"
#include "runtime/value.h"

namespace lm {

enum class JobState : uint8_t { queued, running, stopping, done, failed, interrupted };
const char* job_state_name(JobState state);
// Whether a job in this state has ended.
bool job_ended(JobState state);
// "01:12", "1:00:05"
std::string clock_text(double seconds);

// What a worker Lua state is to run: a function of a module, or source text.
struct JobSpec {
  std::string name, module, function, source;
  std::vector<Value> arguments;
};

struct JobInfo {
  int id = 0;
  std::string name;
  JobState state = JobState::queued;
  std::optional<double> progress;  // 0..1
  std::optional<double> eta_s;     // seconds: as the job says, else from the progress so far
  std::string message;
  std::optional<Error> error;
  double elapsed_s = 0;
};

// A job as its own thread sees it.
class JobContext {
 public:
  virtual ~JobContext() = default;
  // eta_s: seconds left, of a job that knows better than its progress since its start tells.
  virtual void progress(double fraction, std::string message,
                        std::optional<double> eta_s = std::nullopt) = 0;
  virtual const std::atomic<bool>& stop_flag() const = 0;
  // The request to stop has been answered (training wrote its checkpoint): what the job still does
  // is not interrupted, and it has a result.
  virtual void answer_stop() = 0;
};

class Jobs {
 public:
  // Runs on the job's thread, within a CancelScope of the job. What it throws is the job's error.
  using Runner = std::function<std::vector<Value>(JobContext& context, const JobSpec& spec)>;
  // Called on the job's thread after it ended.
  using OnEnd = std::function<void(const JobInfo& info)>;

  // At most `max_running` jobs run at once; more wait in order.
  explicit Jobs(Runner runner, size_t max_running = 8)
      : runner_(std::move(runner)), max_running_(max_running) {}
  ~Jobs() { stop_all(std::chrono::hours(1)); }
  Jobs(const Jobs&) = delete;
  Jobs& operator=(const Jobs&) = delete;

  void set_on_end(OnEnd on_end);
  int spawn(JobSpec spec);
  std::optional<JobInfo> info(int id) const;
  // In the order they were started.
  std::vector<JobInfo> list() const;
  // Asks the job to stop; false for an unknown id. A queued job never starts.
  bool stop(int id);
  // Waits until the job has ended or the time is over; its state then, or nothing for an unknown
  // id.
  std::optional<JobState> wait(int id, std::chrono::milliseconds timeout) const;
  // What the job returned; empty unless it is done.
  std::vector<Value> result(int id) const;

  // Stops all jobs and joins their threads; false when some did not end in time (they keep running,
  // unjoined).
  bool stop_all(std::chrono::milliseconds timeout);

  // One line about the running jobs for the row above the prompt; empty when none runs.
  std::string status_line() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Job;

  void start_waiting();
  void run(const std::shared_ptr<Job>& job);
  void finish(Job& job, JobState state, std::vector<Value> result, std::optional<Error> error);
  void join_ended();
  JobInfo describe(const Job& job) const;

  const Runner runner_;
  const size_t max_running_;
  mutable std::mutex mutex_;  // guards everything below and the jobs' fields
  mutable std::condition_variable changed_;
  OnEnd on_end_;
  std::map<int, std::shared_ptr<Job>> jobs_;
  size_t n_running_ = 0;
  int last_id_ = 0;
  bool closed_ = false;
};

// The jobs of this process; they run in worker Lua states (worker_state.cpp).
Jobs& main_jobs();
// The job whose thread this is, or null.
JobContext* current_job();

// The runner of main_jobs(): a Lua state of its own for each job.
std::vector<Value> run_in_worker_state(JobContext& context, const JobSpec& spec);

}  // namespace lm
