#include "engine/api/plan.h"

#include <algorithm>

#include "engine/api/machine.h"
#include "engine/core/error.h"
#include "engine/infer/forward.h"
#include "engine/infer/sequence_state.h"

namespace lm {

MemoryPlan plan_memory(const std::string& path, const LoadOptions& options, int64_t context,
                       int64_t batch) {
  LoadOptions measure = options;
  measure.measure = true;
  const int64_t before = rss_bytes();
  const auto model = Model::load(path, measure);
  const ModelSpec& spec = model->spec();
  const ModelInfo& info = model->info();
  LM_CHECK(context >= 0 && context <= info.context_length, ErrorCode::bad_option,
           "context is {}; the model was made for at most {} tokens", context, info.context_length);
  LM_CHECK(batch >= 1, ErrorCode::bad_option, "batch is {}; expected at least 1", batch);
  MemoryPlan p;
  p.context = context == 0 ? info.context_length : context;
  p.batch = batch;
  p.kv_bytes_per_token = info.kv_bytes_per_token;
  p.weights = info.memory_bytes;
  const auto page = static_cast<int64_t>(kv_page_bytes(spec, kv_type_of(info.kv_cache)));
  p.kv_cache = batch * pages_for(p.context + spec.n_meta) * page;
  p.state = batch * static_cast<int64_t>(RecurrentState(spec).values().size()) * 4;
  const int64_t tokens =
      std::min(p.context, spec.causal() ? Forward::kMicroBatch : info.context_length);
  p.scratch = Forward::scratch_bytes(spec, p.context, tokens);
  p.logits = 2 * batch * spec.vocab_size * 4;
  p.program = std::max(before, rss_bytes());
  p.total = p.weights + p.kv_cache + p.state + p.scratch + p.logits + p.program;
  p.free_bytes = machine_info().free_bytes;
  return p;
}

}  // namespace lm
