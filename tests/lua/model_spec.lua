-- The engine through its public functions, on the tiny models of the shared test data (golden values computed in float64
-- by numpy; see their README) and on the first model where it is on this machine.
local host = require("lm.host")
local json = require("lm.json")

local ok = pcall(require, "lm.engine.model")
if not ok then
  pending("needs the engine")
  return
end

local data = os.getenv("LMFAST_TEST_DATA") or "../shared/data"

local function read_json(path)
  local file = io.open(data .. "/" .. path, "rb")
  if not file then pending("shared test data is missing: " .. path) end
  local text = file:read("*a")
  file:close()
  return json.decode(text)
end

local function stories(form)
  read_json("models/stories260K/golden.json")
  return lm.load(data .. "/models/stories260K/" .. form)
end

local function first_model()
  local row = lm.models()[1]
  if not row.on_machine then pending("the first model is not on this machine; scripts/lmfast.sh fetches it") end
  return lm.load(row.name)
end

local function error_of(f, ...)
  local fine, e = pcall(f, ...)
  assert.falsy(fine)
  return e
end

local function temporary(bytes, ending)
  local path = os.tmpname() .. ending
  local file = assert(io.open(path, "wb"))
  file:write(bytes)
  file:close()
  return path
end

describe("model", function()
  it("describes itself with info, tostring and models", function()
    local m = stories("gguf/stories260K-F32.gguf")
    local info = m:info()
    assert.equal("llama", info.architecture)
    assert.equal("f32", info.dtype)
    assert.equal(512, info.vocab_size)
    assert.equal(5, info.n_layers)
    assert.contains("stories260K", tostring(m))
    assert.equal("smollm2-135m-instruct", lm.models()[1].name)
  end)

  it("gives the same greedy story in every file format", function()
    local golden = read_json("models/stories260K/golden.json").cases[2]
    for _, form in ipairs({ "gguf/stories260K-F32.gguf", "hf", "stories260K.bin", "stories260K.v1.bin" }) do
      local m = stories(form)
      local record = m:stream{ prompt = golden.prompt_ids, max_tokens = 20, on_token = function() end }
      local expected = {}
      for i = 1, 20 do expected[i] = golden.greedy_ids[i] end
      assert.same(expected, record.ids, form)
      assert.equal(20, record.usage.completion_tokens)
      assert.equal("length", record.finish_reason)
    end
  end)

  it("tokenizes, detokenizes and streams the same text that generate returns", function()
    local m = stories("gguf/stories260K-F32.gguf")
    local ids = m:tokenize("Once upon a time")
    assert.equal("Once upon a time", m:detokenize(ids))
    local parts = {}
    m:stream{ prompt = "Once upon a time", max_tokens = 30, on_token = function(s) parts[#parts + 1] = s end }
    assert.equal(m:generate{ prompt = "Once upon a time", max_tokens = 30 }.text, table.concat(parts))
    assert.equal(tostring(m:generate("Once upon a time", { max_tokens = 30 })), lm.generate{ ids = ids, model = m,
      max_tokens = 30 }.text)
  end)

  it("stops at stop texts and when on_token says so", function()
    local m = stories("gguf/stories260K-F32.gguf")
    local whole = m:generate{ prompt = "Once upon a time", max_tokens = 60 }.text
    local cut = m:generate{ prompt = "Once upon a time", max_tokens = 60, stop = "." }.text
    assert.equal(whole:match("^[^.]*"), cut)
    local count = 0
    local record = m:stream{ prompt = "Once", max_tokens = 50, on_token = function() count = count + 1 return count < 3 end }
    assert.equal("callback", record.finish_reason)
    assert.equal(3, count)
  end)

  it("gives the same text for the same seed, and another for another", function()
    local m = stories("gguf/stories260K-F32.gguf")
    local function sample(seed) return m:generate{ prompt = "Once", max_tokens = 40, temperature = 1, top_k = 50, top_p = 0.95,
      seed = seed }.text end
    assert.equal(sample(1), sample(1))
    assert.falsy(sample(1) == sample(2))
  end)

  it("returns logits of the last token, of all, and the best ones", function()
    local m = stories("gguf/stories260K-F32.gguf")
    local all = m:logits{ ids = { 1, 403, 407 }, last = false }
    assert.equal(3, #all)
    local last = m:logits{ prompt = { 1, 403, 407 } }
    assert.equal(512, #last)
    for i = 1, 512 do assert.near(all[3][i], last[i], 1e-4) end
    local best = m:logits{ prompt = { 1, 403, 407 }, top = 3 }
    assert.equal(3, #best)
    assert.near(math.max(unpack(last)), best[1].logit, 0)
    assert.contains("last = false and top exclude each other", tostring(error_of(m.logits, m, { prompt = "x", last = false, top = 1 })))
  end)

  it("answers with Paris, through lm.chat, a conversation and a background job", function()
    local m = first_model()
    assert.contains("Paris", lm.chat("What is the capital of France?"))
    assert.contains("Paris", m:chat "What is the capital of France?")
    local c = m:chat()
    assert.contains("Paris", c:say("What is the capital of France?"))
    c:say("And of Italy?", { max_tokens = 8 })
    assert.equal(4, #c.messages)
    assert.truthy(c.stats.reused_tokens > 40, "the earlier turns stay in the context")
    c:reset()
    assert.equal(0, #c.messages)
    local job = lm.chat{ content = "What is the capital of France?", background = true }
    assert.contains("Paris", job:result())
  end)

  it("keeps the weights in RAM by choice", function()
    stories("gguf/stories260K-F32.gguf")
    local fine, m = pcall(lm.load, { data .. "/models/stories260K/gguf/stories260K-F32.gguf", mlock = true })
    local file = io.open("/proc/self/status")
    local locked = tonumber(file:read("*a"):match("VmLck:%s+(%d+)"))
    file:close()
    if fine then
      assert.truthy(locked * 1024 >= 0.8 * m:info().memory_bytes)
    else
      assert.matches("ulimit", m.message)
    end
  end)

  it("tells what memory it will take, and takes so much", function()
    local m = stories("gguf/stories260K-F32.gguf")
    local p = lm.plan{ m:info().path, context = 128, batch = 2 }
    assert.equal(m:info().memory_bytes, p.weights)
    assert.equal(2 * 4 * m:stats().page_bytes, p.kv_cache)
    assert.truthy(p.total >= p.weights + p.kv_cache and p.fits)
    assert.matches("kv cache", tostring(p))
    assert.falsy(pcall(lm.plan, { m:info().path, context = 2 ^ 30 }))
  end)

  it("measures itself with bench and doctor", function()
    local m = stories("gguf/stories260K-F32.gguf")
    local r = lm.bench{ model = m, prompt = 16, generate = 4, depth = 8, streams = 2, threads = 1, runs = 1 }
    assert.truthy(r.prefill_tps > 0 and r.decode_tps > 0 and r.first_token_ms > 0 and r.rss_bytes > 0 and r.bandwidth > 0)
    local d = lm.doctor{ seconds = 0.01, torch = false, decode = false }
    assert.truthy(d.cores >= 1)
    assert.contains("bandwidth", tostring(d))
  end)

  it("can be freed; later uses say so", function()
    local m = stories("gguf/stories260K-F32.gguf")
    m:free()
    m:free()
    assert.contains("was freed", tostring(error_of(m.info, m)))
  end)
end)

describe("model errors", function()
  it("name the value and what was expected", function()
    local e = error_of(lm.load, "smolm2")
    assert.equal("not_found", e.code)
    assert.contains('no model "smolm2"', e.message)
    local m = stories("gguf/stories260K-F32.gguf")
    e = error_of(m.generate, m, { prompt = "x", temperature = -1, top_p = 2, max_tokns = 3 })
    assert.equal("bad_option", e.code)
    assert.contains("3 problems", e.message)
    assert.contains('did you mean "max_tokens"', e.message)
    assert.contains("outside the vocabulary", tostring(error_of(m.generate, m, { prompt = { 100000 } })))
    assert.contains("context holds", tostring(error_of(m.generate, m, { prompt = ("a "):rep(3000) })))
    assert.contains("no chat template", tostring(error_of(m.chat, m)))
  end)

  it("refuse damaged files and leave the session usable", function()
    local file = io.open(data .. "/models/stories260K/gguf/stories260K-F32.gguf", "rb")
    if not file then pending("shared test data is missing") end
    local bytes = file:read("*a")
    file:close()
    for _, damaged in ipairs({ "", "GGUF", bytes:sub(1, 1000), bytes:sub(1, #bytes - 1000), "XXXX" .. bytes:sub(5) }) do
      local path = temporary(damaged, ".gguf")
      local e = error_of(lm.load, path)
      assert.equal("bad_file", e.code)
      assert.contains(path, e.message)
      os.remove(path)
    end
    local empty = os.tmpname() .. ".folder"
    os.execute("mkdir -p " .. empty)
    assert.equal("not_found", error_of(lm.load, empty).code)
    os.execute("rmdir " .. empty)
    assert.truthy(stories("hf"):info().n_params > 200000)
  end)
end)

-- Runs this executable anew and returns what it writes.
local function run_self(environment, arguments)
  local pipe = assert(io.popen(([[exe=$(readlink /proc/$PPID/exe); %s "$exe" %s 2>&1]]):format(environment, arguments)))
  local out = pipe:read("*a")
  pipe:close()
  return out
end

describe("the door to the training engine", function()
  local machine = require("lm.engine.machine")

  it("stays shut until it is asked for, and says what is missing", function()
    local maps = run_self("", [[-e 'io.write(io.open("/proc/self/maps"):read("*a"))']])
    assert.contains("liblmfast.so", maps)
    assert.falsy(maps:find("libtorch", 1, true))
    local out = run_self("LMFAST_TRAIN_LIBRARY=/nowhere/lib.so", [[-e 'require("lm.engine.machine").torch()']])
    assert.contains("liblmfast_train.so cannot be opened: /nowhere/lib.so", out)
    assert.contains("hint: scripts/lmfast.sh without --no-train builds it", out)
  end)

  it("opens on demand, computes, and lets errors through with their type", function()
    if not host.build.train then pending("this build has no training engine") end
    assert.contains("2.", machine.torch().version)
    assert.truthy(machine.torch_matmul(64, 0.01) > 0)
    local e = error_of(machine.torch_matmul, 0, 1)
    assert.equal("bad_option", e.code)
    assert.contains("expected 1..16384", e.message)
  end)
end)
