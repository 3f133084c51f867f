--- Speed of a model on this machine, against what the machine's memory allows.

local define = require("lm.define")
local engine = require("lm.engine.generate")
local handles = require("lm.engine.model")
local host = require("lm.host")
local machine = require("lm.engine.machine")

local M = {}

local function median(values)
  table.sort(values)
  return values[math.ceil(#values / 2)]
end

-- Token ids that are valid, other ones for each run: what is known from before is not evaluated.
local runs_so_far = 0
local function some_tokens(n, vocab_size)
  runs_so_far = runs_so_far + 1
  local ids = {}
  for i = 1, n do ids[i] = (i * 7919 + runs_so_far * 104729) % vocab_size end
  return ids
end

local function time(f)
  local start = host.now()
  f()
  return host.now() - start
end

local function prefill_speed(model, info, o)
  local speeds = {}
  for i = 1, o.runs do
    local ids = some_tokens(o.prompt_tokens, info.vocab_size)
    host.progress(("prefill, run %d of %d"):format(i, o.runs))
    local context = engine.context(model, math.min(info.context_length, o.prompt_tokens + 1))
    speeds[i] = o.prompt_tokens / time(function() engine.logits(context, ids) end)
    host.pump()
  end
  return speeds
end

local function decode_speed(model, info, o)
  local speeds = {}
  for i = 1, o.runs do
    host.progress(("decode, run %d of %d"):format(i, o.runs))
    local context = engine.context(model, math.min(info.context_length, o.decode_tokens + 2))
    local generation = engine.generation(context, { 1 }, { max_tokens = o.decode_tokens + 1, ignore_eos = true })
    engine.next(generation)  -- the first token comes with the prompt
    while engine.next(generation) do host.pump() end
    speeds[i] = o.decode_tokens / engine.stats(generation).decode_seconds
  end
  return speeds
end

local meta = {}

function meta.__tostring(r)
  return table.concat({
    r.model,
    ("  prefill %5d tokens  %8.1f tok/s  (best %.1f)"):format(r.prompt_tokens, r.prefill, r.prefill_best),
    ("  decode  %5d tokens  %8.1f tok/s  (best %.1f), %.0f %% of what memory allows"):format(r.decode_tokens, r.decode,
      r.decode_best, r.roofline_share * 100),
    ("  memory  %.1f GB/s read by %d threads; %.1f MB read for a token; at most %.0f tok/s"):format(r.bandwidth / 1e9,
      r.threads,
      r.bytes_per_token / 1e6, r.roofline),
  }, "\n")
end

--- Measures prefill and decode of a model and compares decode with the memory roofline.
---
--- Decode has to read every weight once for a token, so it cannot be faster than bandwidth / bytes read. The
--- bandwidth is measured in the same call. A model that fits the caches can exceed it. Speeds are tokens per
--- second, medians of
--- `runs`.
--- ```lua
--- lm.bench{ prompt_tokens = 128, decode_tokens = 16, runs = 1 }
--- ```
M.bench = define("lm.bench", {
  positional = { "model" },
  options = {
    { name = "model", type = "userdata|string", class = "lm.Model", kind = "model",
      doc = "a loaded model, or a name to load",
      default_text = "the current model" },
    { name = "prompt_tokens", type = "integer", default = 512, min = 1, max = 1e6,
      doc = "tokens of the prompt that is evaluated" },
    { name = "decode_tokens", type = "integer", default = 64, min = 1, max = 1e6, doc = "tokens produced one by one" },
    { name = "runs", type = "integer", default = 5, min = 1, max = 1000, doc = "how often each is measured" },
  },
  background = true, returns = "table",
}, function(o)
  local models = require("lm.model")
  local model = type(o.model) == "userdata" and o.model or (o.model and models.load(o.model)) or models.current()
  local info = handles.info(model)
  local prefill, decode = prefill_speed(model, info, o), decode_speed(model, info, o)
  host.progress("memory")
  local bandwidth = machine.read_bandwidth(0.3)
  host.progress("")
  -- Half the positions of the answer are filled on average.
  local bytes = info.memory_bytes + info.kv_bytes_per_token * o.decode_tokens / 2
  local result = {
    model = tostring(model), prompt_tokens = o.prompt_tokens, decode_tokens = o.decode_tokens, runs = o.runs,
    threads = machine.info().threads, bandwidth = bandwidth, bytes_per_token = bytes, roofline = bandwidth / bytes,
    prefill = median(prefill), decode = median(decode),
  }
  result.prefill_best, result.decode_best = prefill[#prefill], decode[#decode]
  result.roofline_share = result.decode / result.roofline
  return setmetatable(result, meta)
end)

return M
