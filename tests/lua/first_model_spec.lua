--- The functions over the engine, with the first model. The numbers behind them are checked in tests/cpp against reference
--- implementations; here it is what a person calls.

local ok = pcall(require, "lm.engine.model")
if not ok then pending("needs the engine") end

local root = require("lm.host").root or ""
local lm = require("lm")
local models = require("lm.models")

local first = models.models()[1]
if not first.on_machine then pending("needs the model " .. first.name) end

local QUESTION = "What is the capital of France?"
local ANSWER = "The capital of France is Paris."
local m = lm.load(first.name)

describe("lm.load", function()
  it("takes names, aliases and paths", function()
    assert.equal("llama", m:info().architecture)
    local by_path = lm.load(first.path)
    assert.equal(49152, by_path:info().vocab_size)
    by_path:free()
    assert.raises("freed", function() by_path:info() end)
    m = lm.load("smollm2")
  end)

  it("suggests names for unknown ones", function()
    assert.raises("no model \"smolm2\"", lm.load, "smolm2")
    local _, e = pcall(lm.load, "smolm2")
    assert.equal('did you mean "smollm2"?', e.hint)
    assert.equal("not_found", e.code)
  end)

  it("refuses what is no model", function()
    assert.raises("holds no model", lm.load, root .. "tests/lua")
    assert.raises("run.lua", lm.load, root .. "tests/lua/run.lua")
  end)
end)

describe("Model", function()
  it("continues text", function()
    local text = m:generate({ prompt = "The capital of France is", max_tokens = 2 }).text
    assert.equal(" Paris.", text)
    assert.equal(text, lm.generate({ prompt = "The capital of France is", max_tokens = 2, model = m }).text)
    assert.equal(text, m:generate({ prompt = m:tokenize("The capital of France is"), max_tokens = 2 }).text)
    assert.equal("", m:generate({ prompt = "x", max_tokens = 0 }).text)
  end)

  it("stops at texts and keeps them out", function()
    assert.equal(" Par", m:generate({ prompt = "The capital of France is", max_tokens = 5, stop = "is" }).text)
  end)

  it("repeats itself with a seed", function()
    local function sample(seed)
      return m:generate({ prompt = "A", max_tokens = 12, temperature = 1.5, seed = seed }).text
    end
    assert.equal(sample(7), sample(7))
    assert.truthy(sample(7) ~= sample(8))
  end)

  it("streams pieces and returns a record", function()
    local pieces = {}
    local record = m:stream({
      prompt = "The capital of France is", max_tokens = 3, on_token = function(s) pieces[#pieces + 1] = s end,
    })
    assert.equal(record.text, table.concat(pieces))
    assert.equal(3, record.usage.completion_tokens)
    assert.equal(5, record.usage.prompt_tokens)
    assert.equal("length", record.finish_reason)
    assert.truthy(record.decode_seconds > 0)
    record = m:stream({ prompt = "A", on_token = function() return false end })
    assert.equal("callback", record.finish_reason)
  end)

  it("splits and joins text", function()
    assert.same({ 19556, 905 }, m:tokenize("Hello world"))
    assert.equal("Hello world", m:detokenize({ 19556, 905 }))
    assert.equal("", m:detokenize({}))
    assert.equal("", m:detokenize({ 2 }))
    assert.equal("<|im_end|>", m:detokenize({ 2 }, { skip_special = false }))
    assert.raises("detokenize", function() m:detokenize({ 1e6 }) end)
  end)

  it("gives logits, all of them or the best", function()
    local ids = m:tokenize("The capital of France is")
    local last = m:logits({ prompt = ids })
    assert.equal(49152, #last)
    local all = m:logits({ prompt = ids, last = false })
    assert.equal(#ids, #all)
    local best = m:logits({ prompt = ids, top = 3 })
    assert.equal(" Paris", best[1].text)
    assert.equal(last[best[1].token + 1], best[1].logit)
    assert.truthy(best[1].probability > best[2].probability)
    assert.raises("exclude", function() m:logits({ prompt = "x", last = false, top = 1 }) end)
  end)

  it("refuses prompts longer than the context", function()
    assert.raises("context", function() m:generate({ prompt = ("word "):rep(50), context = 10 }) end)
  end)
end)

describe("chat", function()
  it("answers one question", function()
    assert.equal(ANSWER, lm.chat(QUESTION))
    assert.equal(ANSWER, lm.chat({ content = QUESTION, model = m, max_tokens = 20 }))
  end)

  it("remembers a conversation and forgets it on request", function()
    local c = m:chat({ system = "Answer in one word." })
    local answer = c:say("What is the capital of Spain?")
    assert.contains("Madrid", answer)
    assert.equal(3, #c.messages)
    assert.equal("assistant", c.messages[3].role)
    assert.equal(answer, c.messages[3].content)
    c:say("And of Italy?", { max_tokens = 4 })
    assert.equal(5, #c.messages)
    assert.equal(1, #c:reset().messages)
    assert.equal(answer, c:say("What is the capital of Spain?"))
  end)

  it("continues earlier turns", function()
    local c = m:chat({ messages = {
      { role = "user", content = "What is the capital of France?" }, { role = "assistant", content = "Paris." },
    } })
    assert.contains("Paris", c:say("Name that city again.", { max_tokens = 20 }))
    assert.equal(4, #c.messages)
    assert.raises("role", function() m:chat({ messages = { { role = "robot", content = "x" } } }) end)
  end)

  it("runs in the background", function()
    local job = lm.chat({ content = QUESTION, model = m, background = true })
    assert.equal(ANSWER, job:result())
  end)
end)

describe("measuring", function()
  it("benchmarks", function()
    local r = lm.bench({ model = m, prompt = 16, generate = 4, depth = 8, streams = 2, threads = 1, runs = 1 })
    assert.truthy(r.prefill_tps > 0 and r.decode_tps > 0 and r.first_token_ms > 0 and r.rss_bytes > 0 and r.roofline > 0)
    assert.contains("tok/s", tostring(r))
  end)

  it("examines the machine", function()
    local r = lm.doctor({ torch = false, decode = false, seconds = 0.05 })
    assert.truthy(r.cores >= 1 and r.bandwidth > 0)
    assert.contains("memory", tostring(r))
  end)
end)
