-- Generation's options and records, scoring, hooks on logits. Reference numbers: transformers in float32
-- (real-goldens of the shared test data).
local host = require("lm.host")
local json = require("lm.json")

local ok, engine = pcall(require, "lm.engine.generate")
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

local loaded
local function stories()
  read_json("models/stories260K/golden.json")
  loaded = loaded or lm.load(data .. "/models/stories260K/hf")
  return loaded
end

local function error_of(f, ...)
  local fine, e = pcall(f, ...)
  assert.falsy(fine)
  return e
end

describe("generate", function()
  it("returns a record that prints as its text", function()
    local m = stories()
    local r = m:generate{ prompt = "Once upon a time", max_tokens = 8, seed = 3 }
    assert.equal(r.text, tostring(r))
    assert.equal(r.text .. "!", r .. "!")
    assert.equal(8, #r.ids)
    assert.equal(r.text, m:detokenize(r.ids))
    assert.equal("length", r.finish_reason)
    assert.equal(#m:tokenize("Once upon a time"), r.usage.prompt_tokens)
    assert.equal(8, r.usage.completion_tokens)
    assert.equal(r.usage.prompt_tokens + 8, r.usage.total_tokens)
    assert.equal(3, r.seed)
    assert.equal(r.text, m:generate{ ids = m:tokenize("Once upon a time"), max_tokens = 8 }.text)
    local job = m:generate{ prompt = "Once upon a time", max_tokens = 8, background = true }
    assert.equal(r.text, tostring(job:result()))
  end)

  it("answers messages as a conversation does", function()
    local row = lm.models()[1]
    if not row.on_machine then pending("the first model is not on this machine; scripts/lmfast.sh fetches it") end
    local m = lm.load(row.name)
    local question = "What is the capital of France?"
    local r = m:generate{ messages = { { role = "user", content = question } }, max_tokens = 20 }
    assert.equal(m:chat():say(question, { max_tokens = 20 }), r.text)
    assert.equal("stop", r.finish_reason)
  end)

  it("takes exactly one kind of prompt", function()
    local m = stories()
    assert.contains("expected one of prompt, ids and messages, got none", tostring(error_of(m.generate, m, {})))
    assert.contains("got 2", tostring(error_of(m.generate, m, { prompt = "x", ids = { 1 } })))
    assert.contains("tools go with messages", tostring(error_of(m.generate, m, { prompt = "x", tools = {} })))
  end)

  it("records log-probabilities that agree with score and logits", function()
    local m = stories()
    local r = m:generate{ prompt = "Once upon a time", max_tokens = 6, logprobs = 3, temperature = 0.9, top_k = 5, seed = 1 }
    assert.equal(6, #r.logprobs)
    local s = m:score{ prompt = m:tokenize("Once upon a time"), completion = r.ids, top = 3 }
    for i, step in ipairs(r.logprobs) do
      assert.equal(r.ids[i], step.id)
      assert.near(s.logprobs[i], step.logprob, 1e-4)
      assert.equal(3, #step.top)
      assert.equal(s.top[i][1].id, step.top[1].id)
    end
    local best = m:logits{ prompt = "Once upon a time", top = 1 }[1]
    assert.near(math.log(best.probability), r.logprobs[1].top[1].logprob, 1e-6)
    assert.equal(nil, m:generate{ prompt = "x", max_tokens = 1 }.logprobs)
  end)

  it("bans, forces and ends by tokens and words", function()
    local m = stories()
    local plain = m:generate{ prompt = "Once upon a time", max_tokens = 20 }
    local id = plain.ids[3]
    local function other(o)
      o.prompt, o.max_tokens = "Once upon a time", 20
      return m:generate(o)
    end
    for _, found in ipairs(other{ suppress_tokens = { id } }.ids) do assert.truthy(found ~= id) end
    for _, found in ipairs(other{ logit_bias = { [tostring(id)] = -100 } }.ids) do assert.truthy(found ~= id) end
    for _, found in ipairs(other{ allowed_token_ids = { 403, 407 } }.ids) do assert.truthy(found == 403 or found == 407) end
    local forced = other{ forced_token_ids = { 403, 407 } }
    assert.same({ 403, 407 }, { forced.ids[1], forced.ids[2] })
    local ended = other{ stop_token_ids = { id } }
    assert.equal("stop", ended.finish_reason)
    assert.equal(2, #ended.ids)
    assert.equal(20, #other{ stop_token_ids = { id }, min_tokens = 20 }.ids)
    local word = plain.text:match("%a+")
    assert.falsy(other{ bad_words = { word } }.text:find("%f[%a]" .. word .. "%f[%A]"))
    assert.contains("no token is left", tostring(error_of(other, { allowed_token_ids = { id }, suppress_tokens = { id } })))
    assert.contains("expected token ids as keys", tostring(error_of(other, { logit_bias = { x = 1 } })))
  end)

  it("repeats nothing with no_repeat_ngram_size, less with DRY", function()
    local m = stories()
    local r = m:generate{ prompt = "Once upon a time", max_tokens = 200, no_repeat_ngram_size = 3, penalty_window = 0 }
    local seen, ids = {}, m:tokenize("Once upon a time")
    for _, id in ipairs(r.ids) do ids[#ids + 1] = id end
    for i = 1, #ids - 2 do
      local key = table.concat({ ids[i], ids[i + 1], ids[i + 2] }, " ")
      assert.falsy(seen[key])
      seen[key] = true
    end
    local function echoes(o)
      o.prompt, o.max_tokens = "the cat and the dog. the cat and the dog. the cat and", 2
      return m:generate(o).text == m:generate{ prompt = o.prompt, max_tokens = 2 }.text
    end
    assert.truthy(echoes{})
    assert.falsy(echoes{ dry_multiplier = 20, dry_sequence_breakers = { "#" } })
  end)

  it("follows the named order of samplers and refuses what it does not know", function()
    local m = stories()
    local function text(samplers)
      return m:generate{ prompt = "Once", max_tokens = 30, temperature = 1.5, min_p = 0.2, seed = 4, samplers = samplers }.text
    end
    assert.equal(text(nil), text("transformers"))
    assert.equal(text("llama.cpp"), text({ "min_p", "temperature" }))
    assert.contains('samplers names "min_q"', tostring(error_of(text, { "min_q" })))
    assert.contains('leaves out "min_p"', tostring(error_of(text, { "temperature" })))
  end)

  it("gives every sampler its options, and every option a sampler", function()
    local fields, used = {}, {}
    for _, field in ipairs(require("lm.sampling").fields) do fields[field.name] = true end
    for _, sampler in ipairs(engine.samplers().samplers) do
      for name in sampler.options:gmatch("%S+") do
        assert.truthy(fields[name], sampler.name .. ": " .. name)
        used[name] = true
      end
    end
    for _, field in ipairs(engine.sampling_options()) do
      assert.truthy(used[field.name] or field.name == "seed", field.name)
    end
  end)
end)

describe("the scheduler", function()
  it("tells what it did, and knows what it read before", function()
    local m = stories()
    local prompt = ("Once upon a time there was a cat. "):rep(8)
    local first = m:generate{ prompt = prompt, max_tokens = 12, temperature = 0 }
    local before = m:stats()
    local second = m:generate{ prompt = prompt, max_tokens = 12, temperature = 0 }
    local after = m:stats()
    assert.equal(first.text, second.text)
    assert.truthy(after.reused_tokens >= before.reused_tokens + 32)
    assert.truthy(after.tokens - before.tokens < before.tokens)
    assert.equal(0, after.running + after.waiting)
    assert.truthy(after.used_pages <= after.n_pages and after.page_tokens == 32)
  end)

  it("makes several answers together, each as it is alone", function()
    local m = stories()
    local several = m:generate{ prompt = "Once", max_tokens = 20, n = 4, seed = 10, temperature = 1 }
    for i, choice in ipairs(several.choices) do
      local alone = m:generate{ prompt = "Once", max_tokens = 20, seed = 9 + i, temperature = 1 }
      assert.equal(alone.text, choice.text)
    end
  end)

  it("stops when the context is full, or shifts by choice", function()
    local m = stories()
    local o = { prompt = "Once upon a time", context = 32, max_tokens = 60, temperature = 0, ignore_eos = true }
    local stopped = m:generate(o)
    assert.equal("length", stopped.finish_reason)
    assert.truthy(#stopped.ids < 32)
    o.overflow, o.keep = "shift", 2
    assert.equal(60, #m:generate(o).ids)
    o.keep = 32
    assert.matches("keep is 32", error_of(m.generate, m, o).message)
  end)

  it("guesses from what was said, with the same answer", function()
    local m = stories()
    local prompt = ("The cat sat on the mat and looked at the red bird. "):rep(6)
    local plain = m:generate{ prompt = prompt, max_tokens = 40, temperature = 0, ignore_eos = true }
    local quick = m:generate{ prompt = prompt, max_tokens = 40, temperature = 0, ignore_eos = true, speculation = "lookup" }
    assert.equal(plain.text, quick.text)
    assert.truthy(quick.draft_tokens > 0 and quick.accepted_tokens <= quick.draft_tokens)
    local drafted = m:generate{ prompt = prompt, max_tokens = 20, temperature = 0, ignore_eos = true, speculation = m }
    assert.equal(plain.text:sub(1, #drafted.text), drafted.text)
    assert.matches("expected \"lookup\" or a model",
      error_of(m.generate, m, { prompt = "x", speculation = "magic" }).message)
  end)

  it("keeps keys and values in 8 or 4 bits by choice, in less memory", function()
    read_json("models/stories260K/golden.json")
    for _, kind in ipairs{ "int8", "int4" } do
      local m = lm.load{ data .. "/models/stories260K/hf", kv_cache = kind, kv_cache_tokens = 640 }
      assert.equal(kind, m:info().kv_cache)
      assert.equal(20, m:stats().n_pages)
      if kind == "int8" then assert.truthy(m:stats().page_bytes < 0.8 * stories():stats().page_bytes) end
      local text = m:generate{ prompt = "Once upon a time", max_tokens = 8, temperature = 0 }.text
      assert.equal(stories():generate{ prompt = "Once upon a time", max_tokens = 8, temperature = 0 }.text, text)
    end
  end)
end)

describe("search", function()
  it("returns beams with scores, best first", function()
    local m = stories()
    local r = m:generate{ prompt = "Once upon a time", max_tokens = 12, num_beams = 4, num_return_sequences = 3 }
    assert.equal(3, #r.choices)
    assert.equal(r.text, r.choices[1].text)
    assert.equal(r.text, tostring(r.choices[1]))
    assert.truthy(r.choices[1].score >= r.choices[2].score)
    assert.equal("length", r.finish_reason)
    assert.equal(36, r.usage.completion_tokens)
    local s = m:score{ prompt = m:tokenize("Once upon a time"), completion = r.ids }
    assert.near(s.mean, r.score, 1e-4)
    local greedy = m:generate{ prompt = "Once upon a time", max_tokens = 12 }
    assert.truthy(r.score >= m:score{ prompt = m:tokenize("Once upon a time"), completion = greedy.ids }.mean - 1e-6)
    assert.equal(1, #m:generate{ prompt = "Once", max_tokens = 3, num_beams = 2 }.choices)
  end)

  it("searches in groups and by contrast", function()
    local m = stories()
    local r = m:generate{ prompt = "Once upon a time", max_tokens = 6, num_beams = 4, num_beam_groups = 2,
      diversity_penalty = 10, num_return_sequences = 4 }
    assert.equal(4, #r.choices)
    local first = {}
    for _, choice in ipairs(r.choices) do first[choice.ids[1]] = true end
    assert.truthy(next(first, next(first)), "groups begin differently")
    local golden = json.decode(assert(io.open((host.root or "") .. "tests/data/search/goldens_4_46.json", "rb")):read("*a"))
    local case = golden.contrastive_search[1]
    local exact = lm.load{ data .. "/models/stories260K/hf", precision = "exact" }
    local c = exact:generate{ ids = case.prompt_ids, max_tokens = case.max_tokens, ignore_eos = true,
      stop_token_ids = case.stop_token_ids, penalty_alpha = case.options.penalty_alpha, top_k = case.options.top_k }
    assert.same(case.ids, c.ids)
    assert.equal("length", c.finish_reason)
  end)

  it("draws several answers, each with its own seed, and picks the most likely", function()
    local m = stories()
    local o = { prompt = "Once upon a time", max_tokens = 10, temperature = 1.3, seed = 11, n = 4 }
    local r = m:generate(o)
    assert.equal(4, #r.choices)
    for i, choice in ipairs(r.choices) do
      local alone = m:generate{ prompt = o.prompt, max_tokens = 10, temperature = 1.3, seed = 11 + i - 1 }
      assert.equal(alone.text, choice.text)
    end
    assert.falsy(r.choices[1].text == r.choices[2].text)
    o.n, o.best_of = 2, 6
    local best = m:generate(o)
    assert.equal(2, #best.choices)
    assert.truthy(best.choices[1].score >= best.choices[2].score)
    assert.near(m:score{ prompt = m:tokenize(o.prompt), completion = best.ids }.mean, best.score, 1e-4)
    assert.equal(nil, best.logprobs)
  end)

  it("steers by a negative prompt or an amateur", function()
    local m = stories()
    local golden = json.decode(assert(io.open((host.root or "") .. "tests/data/search/goldens.json", "rb")):read("*a"))
    local case = golden.guidance[1]
    local exact = lm.load{ data .. "/models/stories260K/hf", precision = "exact" }
    local r = exact:generate{ ids = case.prompt_ids, negative_prompt = case.negative_ids, guidance_scale = case.scale,
      max_tokens = case.max_tokens, ignore_eos = true, stop_token_ids = { 0 } }
    assert.same(case.ids, r.ids)
    local plain = m:generate{ prompt = "Once upon a time", max_tokens = 10 }
    assert.equal(plain.text, m:generate{ prompt = "Once upon a time", max_tokens = 10, guidance_scale = 1 }.text)
    -- A model against itself prefers nothing: of the tokens it allows, the first.
    local r2 = m:generate{ prompt = "Once upon a time", max_tokens = 1, amateur = m, contrastive_alpha = 1 }
    assert.equal(plain.ids[1], r2.ids[1])
  end)

  it("says which options exclude each other", function()
    local m = stories()
    for _, case in ipairs({
      { { num_beams = 2, temperature = 1 }, "temperature must be 0" },
      { { num_beams = 2, stop = "x" }, "num_beams and stop exclude each other" },
      { { num_return_sequences = 2 }, "needs num_beams" },
      { { num_beams = 4, num_beam_groups = 3 }, "divisor of num_beams" },
      { { penalty_alpha = 0.5 }, "top_k must be at least 2" },
      { { penalty_alpha = 0.5, top_k = 4, n = 2 }, "penalty_alpha and n exclude each other" },
      { { n = 2 }, "need a temperature above 0" },
      { { n = 3, best_of = 2, temperature = 1 }, "best_of is smaller than n" },
      { { negative_prompt = "x" }, "needs a guidance_scale" },
      { { amateur = m, guidance_scale = 2 }, "exclude each other" },
    }) do
      case[1].prompt = "Once"
      assert.contains(case[2], tostring(error_of(m.generate, m, case[1])))
    end
    local row = lm.models()[1]
    if row.on_machine then
      local other = lm.load(row.name)
      assert.contains("expected the same vocabulary", tostring(error_of(m.generate, m, { prompt = "x", amateur = other })))
    end
  end)
end)

describe("a model without a tokenizer", function()
  it("works with ids and says so for texts", function()
    local m = lm.load((host.root or "") .. "tests/data/models/llama")
    assert.contains("llama", tostring(m))
    local r = m:generate{ ids = { 5, 9, 3 }, max_tokens = 4, logprobs = 1 }
    assert.equal(4, #r.ids)
    assert.equal("", r.text)
    assert.equal(4, #m:generate{ ids = { 5, 9, 3 }, max_tokens = 4, num_beams = 2 }.ids)
    assert.equal("", m:score{ ids = { 5, 9, 3 } }.texts[1])
    assert.equal(2, #m:logits{ ids = { 5, 9, 3 }, top = 2 })
    assert.contains("has no tokenizer", tostring(error_of(m.generate, m, { prompt = "x" })))
    assert.contains("has no tokenizer", tostring(error_of(m.generate, m, { ids = { 5 }, bad_words = { "x" } })))
    assert.equal(2, #m:generate{ ids = { 5 }, dry_multiplier = 1, max_tokens = 2 }.ids)
  end)
end)

describe("on_logits", function()
  it("sees the ids and edits the logits in place", function()
    local m = stories()
    local prompt, lengths = m:tokenize("Once upon a time"), {}
    local r = m:generate{ ids = prompt, max_tokens = 3, on_logits = function(ids, logits)
      lengths[#lengths + 1] = #ids
      assert.equal(512, #logits)
      assert.equal(512, logits:len())
      logits[400 + #lengths] = 1000
    end }
    assert.same({ 401, 402, 403 }, r.ids)
    assert.same({ #prompt, #prompt + 1, #prompt + 2 }, lengths)
  end)

  it("reads logits that m:logits gives, and helpers do what they say", function()
    local m = stories()
    local expected = m:logits{ prompt = "Once upon a time" }
    m:generate{ prompt = "Once upon a time", max_tokens = 1, on_logits = function(_, logits)
      for id = 0, 511 do assert.equal(expected[id + 1], logits[id]) end
      local best = logits:top(2)
      assert.equal(logits[best[1].id], best[1].logit)
      assert.truthy(best[1].logit >= best[2].logit)
      logits:add(7, 1.5)
      assert.near(expected[8] + 1.5, logits[7], 1e-5)
      logits:set(8, -2)
      assert.equal(-2, logits[8])
      logits:mask{ 9, 10 }
      assert.equal(-math.huge, logits[9])
      logits:keep{ 7, 8 }
      assert.equal(-2, logits[8])
      assert.equal(-math.huge, logits[11])
    end }
    assert.same({ 3 }, m:generate{ prompt = "Once", max_tokens = 1, on_logits = function(_, l) l:keep{ 3 } end }.ids)
    -- Recorded log-probabilities are the model's, not the hook's.
    local r = m:generate{ prompt = "Once", max_tokens = 1, logprobs = 0, on_logits = function(_, l) l:keep{ 3 } end }
    assert.truthy(r.logprobs[1].logprob < -1)
  end)

  it("ends the generation with its error and leaves the model usable", function()
    local m = stories()
    local kept
    local e = error_of(m.generate, m, { prompt = "Once", on_logits = function(_, logits)
      kept = logits
      error("not this one")
    end })
    assert.contains("not this one", tostring(e))
    assert.contains("valid during on_logits only", tostring(error_of(function() return kept[1] end)))
    assert.contains("valid during on_logits only", tostring(error_of(function() kept[1] = 2 end)))
    assert.contains("valid during on_logits only", tostring(error_of(function() return kept:len() end)))
    for _, bad in ipairs({ -1, 512, 0.5 }) do
      e = error_of(m.generate, m, { prompt = "Once", on_logits = function(_, logits) logits[bad] = 0 end })
      assert.contains("outside the vocabulary", tostring(e))
    end
    e = error_of(m.generate, m, { prompt = "Once", on_logits = function(_, logits) logits[1] = "x" end })
    assert.contains("number expected", tostring(e))
    assert.truthy(#m:generate{ prompt = "Once", max_tokens = 3 }.text > 0)
  end)
end)

describe("score", function()
  it("gives transformers' log-probabilities for SmolLM2 in float32", function()
    local golden = read_json("models/real-goldens/smollm2-135m-instruct.q4_1.json")
    local row = lm.models()[1]
    if not row.on_machine then pending("the first model is not on this machine; scripts/lmfast.sh fetches it") end
    local m = lm.load{ row.name, precision = "exact" }
    local compared = 0
    for _, case in ipairs(golden.prompts) do
      if #case.ids <= 100 then
        local s = m:score{ ids = case.ids }
        assert.equal(#case.ids - 1, #s.logprobs)
        for i, nll in ipairs(case.hf.nll) do
          assert.near(-nll, s.logprobs[i], 1e-3)
          compared = compared + 1
        end
      end
    end
    assert.truthy(compared > 100)
  end)

  it("adds up, and agrees with itself one by one, at once and in batches", function()
    local m = stories()
    local story = m:generate{ prompt = "Once upon a time", max_tokens = 40 }
    local s = m:score{ prompt = "Once upon a time", completion = story.text }
    local sum = 0
    for _, x in ipairs(s.logprobs) do sum = sum + x end
    assert.near(sum, s.sum, 1e-9)
    assert.near(sum / #s.ids, s.mean, 1e-9)
    assert.near(math.exp(-s.mean), s.perplexity, 1e-9)
    assert.equal(story.text, table.concat(s.texts))
    assert.equal(true, s.is_greedy)
    assert.contains("perplexity", tostring(s))
    local short = m:score{ prompt = m:tokenize("Once upon a time"), completion = { unpack(story.ids, 1, 10) } }
    for i = 1, 10 do assert.near(s.logprobs[i], short.logprobs[i], 1e-4) end
    local batch = m:score{ prompt = "Once upon a time", completion = { ", there was", " zebra zebra" } }
    assert.equal(2, #batch)
    assert.truthy(batch[1].mean > batch[2].mean)
    assert.equal(false, batch[2].is_greedy)
    assert.near(m:score{ prompt = "Once upon a time", completion = " zebra zebra" }.sum, batch[2].sum, 1e-6)
  end)

  it("refuses what it cannot score", function()
    local m = stories()
    assert.contains("either completion or ids", tostring(error_of(m.score, m, {})))
    assert.contains("exclude each other", tostring(error_of(m.score, m, { prompt = "x", ids = { 1 } })))
    assert.contains("outside the vocabulary", tostring(error_of(m.score, m, { ids = { 1, 100000 } })))
    assert.equal(0, #m:score{ ids = { 1 } }.ids)
  end)
end)
