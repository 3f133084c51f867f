// Prometheus metrics, by names of our own and, for the boards that exist, by vLLM's.
#include <nlohmann/json.hpp>

#include "engine/api/scheduler_stats.h"
#include "engine/serve/call.h"
#include "engine/serve/route.h"

namespace lm::serve {
namespace {

// Backslashes, quotes and line breaks in a label's value.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

// Lines of a family must stand together.
class Page {
 public:
  void value(const char* name, const char* type, const std::string& labels, double number) {
    const std::string braces = labels.empty() ? "" : "{" + labels + "}";
    family(name, type) += fmt::format("{}{} {}\n", name, braces, number);
  }
  void histogram(const char* name, const std::string& labels, const Histogram& h) {
    family(name, "histogram") += h.text(name, labels);
  }
  std::string text() const {
    std::string all;
    for (const auto& [name, lines] : families_) all += lines;
    return all;
  }

 private:
  std::string& family(const char* name, const char* type) {
    std::string& lines = families_[name];
    if (lines.empty()) lines = fmt::format("# TYPE {} {}\n", name, type);
    return lines;
  }
  std::map<std::string, std::string> families_;
};

void add_model(Page& page, const std::string& name, const ModelMetrics& m) {
  const std::string labels = fmt::format("model_name=\"{}\"", escaped(name));
  const auto counter = [&](const char* metric, const std::atomic<int64_t>& n) {
    page.value(metric, "counter", labels, static_cast<double>(n));
  };
  for (const std::string prefix : {"lmfast:", "vllm:"}) {
    const auto named = [&](const char* metric) { return prefix + metric; };
    counter(named("prompt_tokens_total").c_str(), m.prompt_tokens);
    counter(named("generation_tokens_total").c_str(), m.generation_tokens);
    counter(named("prefix_cache_queries_total").c_str(), m.prompt_tokens);
    counter(named("prefix_cache_hits_total").c_str(), m.cached_tokens);
    counter(named("spec_decode_num_draft_tokens_total").c_str(), m.draft_tokens);
    counter(named("spec_decode_num_accepted_tokens_total").c_str(), m.accepted_tokens);
    page.value(named("num_requests_running").c_str(), "gauge", labels,
               static_cast<double>(m.running));
    const std::pair<const char*, const std::atomic<int64_t>&> ends[] = {
        {"stop", m.ended_stop}, {"length", m.ended_length}, {"abort", m.ended_abort}};
    for (const auto& [reason, n] : ends)
      page.value(named("request_success_total").c_str(), "counter",
                 fmt::format("{},finished_reason=\"{}\"", labels, reason), static_cast<double>(n));
    page.histogram(named("time_to_first_token_seconds").c_str(), labels, m.time_to_first_token);
    page.histogram(named("inter_token_latency_seconds").c_str(), labels, m.inter_token);
    page.histogram(named("e2e_request_latency_seconds").c_str(), labels, m.e2e);
    page.histogram(named("request_prefill_time_seconds").c_str(), labels, m.prefill);
    page.histogram(named("request_decode_time_seconds").c_str(), labels, m.decode);
  }
  counter("llamacpp:prompt_tokens_total", m.prompt_tokens);
  counter("llamacpp:tokens_predicted_total", m.generation_tokens);
  page.value("llamacpp:prompt_seconds_total", "counter", labels,
             static_cast<double>(m.prompt_ns) * 1e-9);
  page.value("llamacpp:tokens_predicted_seconds_total", "counter", labels,
             static_cast<double>(m.decode_ns) * 1e-9);
  page.value("llamacpp:requests_processing", "gauge", labels, static_cast<double>(m.running));
}

void add_scheduler(Page& page, const ModelRow& row) {
  const SchedulerStats s = scheduler_stats(*row.model);
  const std::string labels = fmt::format("model_name=\"{}\"", escaped(row.name));
  const auto pages = static_cast<double>(std::max<int64_t>(s.n_pages, 1));
  for (const std::string prefix : {"lmfast:", "vllm:"}) {
    page.value((prefix + "kv_cache_usage_perc").c_str(), "gauge", labels,
               static_cast<double>(s.used_pages) / pages);
    page.value((prefix + "num_preemptions_total").c_str(), "counter", labels,
               static_cast<double>(s.preemptions));
  }
  page.value("llamacpp:n_decode_total", "counter", labels, static_cast<double>(s.steps));
  page.value("lmfast:scheduler_steps_total", "counter", labels, static_cast<double>(s.steps));
  page.value("lmfast:scheduler_tokens_total", "counter", labels, static_cast<double>(s.tokens));
  page.value("lmfast:kv_cache_cached_pages", "gauge", labels, static_cast<double>(s.cached_pages));
}

void metrics(Call& call) {
  Page page;
  call.core.metrics.each(
      [&](const std::string& name, const ModelMetrics& m) { add_model(page, name, m); });
  for (const ModelRow& row : call.core.models.list())
    if (row.model && row.parent.empty()) add_scheduler(page, row);
  if (call.core.http) {
    const HttpServerStats h = call.core.http->stats();
    const auto gauge = [&](const char* name, int64_t n) {
      page.value(name, "gauge", "", static_cast<double>(n));
    };
    const auto counter = [&](const char* name, int64_t n) {
      page.value(name, "counter", "", static_cast<double>(n));
    };
    gauge("lmfast:http_connections", h.connections);
    gauge("lmfast:num_requests_waiting", h.waiting);
    gauge("vllm:num_requests_waiting", h.waiting);
    gauge("llamacpp:requests_deferred", h.waiting);
    counter("lmfast:http_refused_total", h.refused);
    counter("lmfast:http_cancelled_total", h.cancelled);
  }
  for (const auto& [key, n] : call.core.metrics.requests())
    page.value("lmfast:http_requests_total", "counter",
               fmt::format("path=\"{}\",status=\"{}\"", key.route, key.status),
               static_cast<double>(n));
  page.histogram("lmfast:http_request_seconds", "", call.core.metrics.request_seconds);
  call.answer_text(page.text(), "text/plain; version=0.0.4; charset=utf-8");
}

}  // namespace

Route route_metrics() {
  return {"GET",
          "/metrics",
          "Counters and histograms for Prometheus",
          Dialect::openai,
          Route::Access::open,
          {},
          true,
          metrics};
}

}  // namespace lm::serve
