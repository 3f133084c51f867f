--- Measures the speed of a model on this machine: prompt and generation tokens per second.
---
--- Example: lmfast run bench smollm2 --json

local lm = require("lmfast")

local M = {}

M.positional = { "model" }

M.options = {
  { name = "model", type = "string", default = "smollm2-135m-instruct", kind = "model", doc = "model name or path" },
  { name = "prompt", type = "integer", default = 512, min = 1, max = 1e6, doc = "length of the prompt, in tokens" },
  { name = "generate", type = "integer", default = 128, min = 1, max = 1e6, doc = "tokens produced one by one" },
  { name = "depth", type = "integer", default = 0, min = 0, max = 1e6, doc = "tokens in the context before" },
  { name = "streams", type = "integer", default = 1, min = 1, max = 256, doc = "texts written at the same time" },
  { name = "runs", type = "integer", default = 5, min = 1, max = 1000, doc = "repetitions; the median is reported" },
}

--- Runs the benchmark.
--- @param o table  complete options
--- @return table result  as from lm.bench
function M.run(o)
  local result = lm.bench({
    model = o.model, prompt = o.prompt, generate = o.generate, depth = o.depth, streams = o.streams, runs = o.runs,
  })
  return result
end

return M
