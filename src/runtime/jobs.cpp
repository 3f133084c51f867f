#include "runtime/jobs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "engine/core/interrupt.h"
#include "runtime/interrupt.h"

namespace lm {
namespace {

constexpr std::array<const char*, 6> kStateNames = {"queued", "running", "stopping",
                                                    "done",   "failed",  "interrupted"};
thread_local JobContext* t_current = nullptr;

}  // namespace

std::string clock_text(double seconds) {
  const auto s = static_cast<int64_t>(seconds + 0.5);
  return s >= 3600 ? fmt::format("{}:{:02}:{:02}", s / 3600, s % 3600 / 60, s % 60)
                   : fmt::format("{:02}:{:02}", s / 60, s % 60);
}

const char* job_state_name(JobState state) {
  return kStateNames.at(static_cast<size_t>(state));
}
bool job_ended(JobState state) {
  return state >= JobState::done;
}
JobContext* current_job() {
  return t_current;
}

struct Jobs::Job : JobContext {
  Job(Jobs& owner, int number, JobSpec job_spec)
      : jobs(owner), id(number), spec(std::move(job_spec)) {}

  void progress(double value, std::string text, std::optional<double> eta_s) override {
    const std::lock_guard lock(jobs.mutex_);
    fraction = std::clamp(value, 0.0, 1.0);
    message = std::move(text);
    end_expected.reset();
    if (eta_s)
      end_expected = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                        std::chrono::duration<double>(std::min(*eta_s, 1e9)));
  }
  const std::atomic<bool>& stop_flag() const override { return stop; }
  void answer_stop() override { stop = false; }

  Jobs& jobs;
  const int id;
  const JobSpec spec;
  std::atomic<bool> stop{false};
  JobState state = JobState::queued;
  std::optional<double> fraction;
  std::optional<Clock::time_point> end_expected;  // as the job says
  std::string message;
  std::optional<Error> error;
  std::vector<Value> result;
  Clock::time_point started{}, ended{};
  std::thread thread;
  bool thread_over = false;  // the thread is about to return
};

void Jobs::set_on_end(OnEnd on_end) {
  const std::lock_guard lock(mutex_);
  on_end_ = std::move(on_end);
}

int Jobs::spawn(JobSpec spec) {
  join_ended();
  int id = 0;
  {
    const std::lock_guard lock(mutex_);
    LM_CHECK(!closed_, ErrorCode::interrupted, "job: the session is ending");
    id = ++last_id_;
    jobs_[id] = std::make_shared<Job>(*this, id, std::move(spec));
  }
  start_waiting();
  return id;
}

// Gives queued jobs a thread while there is room.
void Jobs::start_waiting() {
  const std::lock_guard lock(mutex_);
  for (auto& [id, job] : jobs_) {
    if (closed_ || n_running_ >= max_running_) return;
    if (job->state != JobState::queued) continue;
    job->state = JobState::running;
    job->started = Clock::now();
    ++n_running_;
    try {
      job->thread = spawn_thread([this, job = job] { run(job); });
    } catch (const std::exception& error) {
      --n_running_;
      job->state = JobState::failed;
      job->ended = job->started;
      job->error =
          Error(ErrorCode::internal, fmt::format("job: cannot start a thread: {}", error.what()));
      changed_.notify_all();
    }
  }
}

void Jobs::run(const std::shared_ptr<Job>& job) {
  const CancelScope scope(&job->stop);
  t_current = job.get();
  try {
    std::vector<Value> result = runner_(*job, job->spec);
    finish(*job, JobState::done, std::move(result), std::nullopt);
  } catch (const Error& error) {
    const bool stopped = error.code() == ErrorCode::interrupted && job->stop;
    finish(*job, stopped ? JobState::interrupted : JobState::failed, {}, error);
  } catch (const std::exception& error) {
    finish(*job, JobState::failed, {}, Error(ErrorCode::internal, error.what()));
  }
  t_current = nullptr;
  start_waiting();
  const std::lock_guard lock(mutex_);
  job->thread_over = true;
  changed_.notify_all();
}

void Jobs::finish(Job& job, JobState state, std::vector<Value> result, std::optional<Error> error) {
  OnEnd on_end;
  JobInfo info;
  {
    const std::lock_guard lock(mutex_);
    job.state = state;
    job.ended = Clock::now();
    job.result = std::move(result);
    job.error = std::move(error);
    --n_running_;
    if (!closed_) on_end = on_end_;
    info = describe(job);
    changed_.notify_all();
  }
  if (on_end) on_end(info);
}

JobInfo Jobs::describe(const Job& job) const {
  JobInfo info;
  info.id = job.id;
  info.name = job.spec.name;
  info.state = job.state;
  info.progress = job.fraction;
  info.message = job.message;
  info.error = job.error;
  if (job.state == JobState::queued) return info;
  const Clock::time_point end = job_ended(job.state) ? job.ended : Clock::now();
  info.elapsed_s = std::max(0.0, std::chrono::duration<double>(end - job.started).count());
  if (job_ended(job.state)) return info;
  if (job.end_expected)
    info.eta_s =
        std::max(0.0, std::chrono::duration<double>(*job.end_expected - Clock::now()).count());
  else if (job.fraction && *job.fraction > 0)
    info.eta_s = info.elapsed_s / *job.fraction * (1 - *job.fraction);
  return info;
}

std::optional<JobInfo> Jobs::info(int id) const {
  const std::lock_guard lock(mutex_);
  const auto it = jobs_.find(id);
  return it == jobs_.end() ? std::nullopt : std::optional(describe(*it->second));
}

std::vector<JobInfo> Jobs::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<JobInfo> all;
  for (const auto& [id, job] : jobs_) all.push_back(describe(*job));
  return all;
}

bool Jobs::stop(int id) {
  const std::lock_guard lock(mutex_);
  const auto it = jobs_.find(id);
  if (it == jobs_.end()) return false;
  Job& job = *it->second;
  job.stop = true;
  if (job.state == JobState::running) job.state = JobState::stopping;
  if (job.state == JobState::queued) {
    job.state = JobState::interrupted;
    job.error = Error(ErrorCode::interrupted, "interrupted");
  }
  changed_.notify_all();
  return true;
}

std::optional<JobState> Jobs::wait(int id, std::chrono::milliseconds timeout) const {
  std::unique_lock lock(mutex_);
  const auto it = jobs_.find(id);
  if (it == jobs_.end()) return std::nullopt;
  const std::shared_ptr<Job> job = it->second;
  changed_.wait_for(lock, timeout, [&] { return job_ended(job->state); });
  return job->state;
}

std::vector<Value> Jobs::result(int id) const {
  const std::lock_guard lock(mutex_);
  const auto it = jobs_.find(id);
  return it == jobs_.end() ? std::vector<Value>() : it->second->result;
}

void Jobs::join_ended() {
  std::vector<std::thread> over;
  {
    const std::lock_guard lock(mutex_);
    for (auto& [id, job] : jobs_)
      if (job->thread_over && job->thread.joinable()) over.push_back(std::move(job->thread));
  }
  for (std::thread& thread : over) thread.join();
}

bool Jobs::stop_all(std::chrono::milliseconds timeout) {
  std::vector<int> ids;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    for (const auto& [id, job] : jobs_)
      if (!job_ended(job->state)) ids.push_back(id);
  }
  for (const int id : ids) stop(id);
  bool all = true;
  {
    std::unique_lock lock(mutex_);
    const auto over = [this] {
      return std::all_of(jobs_.begin(), jobs_.end(), [](const auto& entry) {
        return !entry.second->thread.joinable() || entry.second->thread_over;
      });
    };
    all = changed_.wait_for(lock, timeout, over);
    if (!all)
      for (auto& [id, job] : jobs_)
        if (job->thread.joinable() && !job->thread_over) job->thread.detach();
  }
  join_ended();
  return all;
}

std::string Jobs::status_line() const {
  std::string line;
  for (const JobInfo& info : list()) {
    if (job_ended(info.state)) continue;
    if (!line.empty()) line += "   ";
    line += fmt::format("[{}] {}", info.id, info.name);
    if (info.state != JobState::running) line += fmt::format(" {}", job_state_name(info.state));
    if (info.progress) line += fmt::format(" {:.0f}%", *info.progress * 100);
    if (!info.message.empty()) line += "  " + info.message;
    if (info.eta_s) line += "  eta " + clock_text(*info.eta_s);
    if (!info.progress && info.state == JobState::running)
      line += "  " + clock_text(info.elapsed_s);
  }
  return line;
}

}  // namespace lm
