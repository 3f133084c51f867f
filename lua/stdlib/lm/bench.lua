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

-- Token ids that are valid, other ones each time: what is known from before is not evaluated.
local lists_so_far = 0
local function some_tokens(n, vocab_size)
  lists_so_far = lists_so_far + 1
  local ids = {}
  for i = 1, n do ids[i] = (i * 7919 + lists_so_far * 104729) % vocab_size end
  return ids
end

local function time(f)
  local start = host.now()
  f()
  return host.now() - start
end

local function append(a, b)
  local all = {}
  for _, list in ipairs{ a, b } do
    for _, id in ipairs(list) do all[#all + 1] = id end
  end
  return all
end

-- Seconds to read `prompt` tokens behind `depth` others.
local function prefill(model, info, o)
  local context = engine.context(model, math.min(info.context_length, o.depth + o.prompt + 1))
  local before = some_tokens(o.depth, info.vocab_size)
  if o.depth > 0 then engine.logits(context, before) end
  local ids = append(before, some_tokens(o.prompt, info.vocab_size))
  return time(function() engine.logits(context, ids) end)
end

-- Seconds in which all streams together write their tokens, each behind `depth` others.
local function decode(model, info, o)
  local streams = {}
  for i = 1, o.streams do
    local context = engine.context(model, math.min(info.context_length, o.depth + o.generate + 3))
    streams[i] = engine.generation(context, some_tokens(o.depth + 1, info.vocab_size),
      { max_tokens = o.generate + 1, ignore_eos = true })
    engine.start(streams[i])
  end
  for _, stream in ipairs(streams) do engine.next(stream) end  -- the first token comes with the prompt
  return time(function()
    for _ = 1, o.generate do
      for _, stream in ipairs(streams) do engine.next(stream) end
      host.pump()
    end
  end)
end

local meta = {}

function meta.__tostring(r)
  local depth = r.depth > 0 and (" behind %d"):format(r.depth) or ""
  local streams = r.streams > 1 and (", %d streams together"):format(r.streams) or ""
  return table.concat({
    r.model,
    ("  prefill %5d tokens%s  %8.1f tok/s  (best %.1f), first token after %.0f ms"):format(r.prompt, depth,
      r.prefill_tps, r.prefill_best, r.first_token_ms),
    ("  decode  %5d tokens%s  %8.1f tok/s  (best %.1f)%s, %.0f %% of what memory allows"):format(r.generate, depth,
      r.decode_tps, r.decode_best, streams, r.roofline_share * 100),
    ("  memory  %.1f GB/s read by %d threads; %.1f MB read for a step; at most %.0f tok/s; %.0f MB in use"):format(
      r.bandwidth / 1e9, r.threads, r.bytes_per_step / 1e6, r.roofline, r.rss_bytes / 1e6),
  }, "\n")
end

local function measure(f, model, info, o, tokens, what)
  local speeds = {}
  for i = 1, o.runs do
    host.progress(("%s, run %d of %d"):format(what, i, o.runs))
    speeds[i] = tokens / f(model, info, o)
    host.pump()
  end
  return speeds
end

--- Measures prefill and decode of a model and compares decode with the memory roofline.
---
--- Speeds are tokens per second, medians of `runs`: `prefill_tps` and `decode_tps`, with `prefill_best` and
--- `decode_best`; `first_token_ms` is the time from a prompt of that length to its first token. Decode has to read
--- every weight once for a step of all `streams`, so it cannot be faster than `roofline`, bandwidth / bytes read (a
--- model that fits the caches can); `roofline_share` is how much of it was reached. The bandwidth is measured in the
--- same call.
--- `rss_bytes` is the memory of the process.
--- ```lua
--- lm.bench{ prompt = 128, generate = 16, runs = 1 }
--- ```
M.bench = define("lm.bench", {
  positional = { "model" },
  options = {
    { name = "model", type = "userdata|string", class = "lm.Model", kind = "model",
      doc = "a loaded model, or a name to load",
      default_text = "the current model" },
    { name = "prompt", type = "integer", default = 512, min = 1, max = 1e6, doc = "tokens of the prompt that is read" },
    { name = "generate", type = "integer", default = 128, min = 1, max = 1e6, doc = "tokens written one by one" },
    { name = "depth", type = "integer", default = 0, min = 0, max = 1e6, doc = "tokens in the context before" },
    { name = "streams", type = "integer", default = 1, min = 1, max = 256, doc = "texts written at the same time" },
    { name = "threads", type = "integer", min = 1, max = 1024, doc = "threads that compute",
      default_text = "as many as there are cores" },
    { name = "runs", type = "integer", default = 5, min = 1, max = 1000, doc = "how often each is measured" },
  },
  background = true, returns = "table",
}, function(o)
  local models = require("lm.model")
  local model = type(o.model) == "userdata" and o.model or (o.model and models.load(o.model)) or models.current()
  local info = handles.info(model)
  local before = machine.limit_threads(o.threads or 0)
  local fine, result = pcall(function()
    prefill(model, info, { depth = 0, prompt = 16 })  -- memory is touched and clocks are up
    local read = measure(prefill, model, info, o, o.prompt, "prefill")
    local written = measure(decode, model, info, o, o.generate * o.streams, "decode")
    host.progress("memory")
    local bandwidth = machine.read_bandwidth(0.3)
    -- Half the positions of the answer are filled on average.
    local bytes = info.memory_bytes + info.kv_bytes_per_token * o.streams * (o.depth + o.generate / 2)
    local r = {
      model = tostring(model), prompt = o.prompt, generate = o.generate, depth = o.depth, streams = o.streams,
      runs = o.runs, threads = machine.info().threads, bandwidth = bandwidth, bytes_per_step = bytes,
      roofline = o.streams * bandwidth / bytes, prefill_tps = median(read), decode_tps = median(written),
      rss_bytes = machine.rss_bytes(),
    }
    r.prefill_best, r.decode_best = read[#read], written[#written]
    r.first_token_ms = 1000 * o.prompt / r.prefill_tps
    r.roofline_share = r.decode_tps / r.roofline
    return setmetatable(r, meta)
  end)
  host.progress("")
  machine.limit_threads(before)
  if not fine then error(result, 0) end
  return result
end)

return M
