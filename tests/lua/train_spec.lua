-- lm.train from Lua: rows, callbacks, background jobs, resuming, merging. The numbers are checked in C++
-- (tests/cpp/train_test.cpp).
local ok = pcall(require, "lm.engine.train")
if not ok or not require("lm.host").build.train then
  pending(ok and "this build has no training engine" or "needs the engine")
  return
end

local MODEL = "tests/data/models/llama"

local function fresh()
  local path = os.tmpname()
  os.remove(path)
  return path
end

local function rows()
  local list = {}
  for i = 1, 8 do
    list[i] = { input_ids = { 5, 6, 7 + i, 8, 9 + i }, labels = { -100, -100, 7 + i, 8, 9 + i } }
  end
  return list
end

local function train(o)
  o.model, o.data = o.model or MODEL, o.data or rows()
  o.max_length, o.precision, o.quiet = 16, "f32", true
  return lm.train(o)
end

describe("train", function()
  it("trains an adapter, calls back and merges", function()
    local steps, folder = {}, fresh()
    local model, run = train{
      output = folder, lora = { rank = 2 }, epochs = 40, batch_size = 8, learning_rate = 0.02,
      on_step = function(e) steps[#steps + 1] = e.loss end,
    }
    assert.equal(40, #steps)
    assert.truthy(steps[40] < steps[1] / 2)
    assert.equal(1, #model:adapters())
    assert.equal(folder .. "/adapter", model:adapters()[1].path)
    assert.equal(40, run.steps)
    local merged = model:merge(folder .. "/merged")
    assert.equal(0, #merged:adapters())
    assert.equal("safetensors", merged:info().format)
    local e = select(2, pcall(merged.merge, merged))
    assert.contains("no adapters", tostring(e))
    os.execute("rm -r " .. folder)
  end)

  it("trains by every method's own options", function()
    for name, o in pairs{
      dora = { lora = { rank = 2, dora = true } }, pissa = { lora = { init = "pissa", rank = 2 } },
      loftq = { lora = { rank = 2, init = "loftq" }, quantize = "nf4" }, ia3 = { method = "ia3" },
      prompt = { method = "prompt", virtual_tokens = 3 }, prefix = { method = "prefix", virtual_tokens = 3 },
    } do
      local folder = fresh()
      o.output, o.epochs = folder, 2
      local model, run = train(o)
      assert.equal(folder .. "/adapter", model:adapters()[1].path, name)
      assert.equal(2, run.steps, name)
      assert.equal(5, #model:score{ ids = { 5, 6, 8, 8, 10, 11 } }.logprobs, name)
      os.execute("rm -r " .. folder)
    end
  end)

  it("ends where a callback says so and goes on from there", function()
    local folder = fresh()
    local _, run = train{
      output = folder, lora = { rank = 2 }, batch_size = 2, packing = false,
      on_step = function(e) return e.step < 2 end,
    }
    assert.truthy(run.stopped)
    assert.equal(2, run.steps)
    local _, rest = train{ resume = folder }
    assert.falsy(rest.stopped)
    assert.equal(4, rest.steps)
    os.execute("rm -r " .. folder)
  end)

  it("gives the model of a background run that was stopped", function()
    local folder = fresh()
    local job = train{ output = folder, lora = { rank = 2 }, batch_size = 2, epochs = 1e5, background = true }
    while not job.step and not job.error do job:wait(0.02) end
    job:stop()
    local model, run = job:result()
    assert.equal(1, #model:adapters())
    assert.truthy(run.stopped)
    assert.equal("done", job.state)
    os.execute("rm -r " .. folder)
  end)

  it("writes the whole new model of a background run that was stopped", function()
    local folder = fresh()
    local job = train{ output = folder, batch_size = 2, epochs = 1e5, background = true }
    while not job.step and not job.error do job:wait(0.02) end
    job:stop()
    local model, run = job:result()
    assert.truthy(run.stopped)
    assert.equal(folder .. "/model", model:info().path)
    os.execute("rm -r " .. folder)
  end)

  it("trains all weights into a folder that loads", function()
    local folder = fresh()
    local model = train{ output = folder, freeze = { "embed_tokens" }, max_steps = 1 }
    assert.equal(folder .. "/model", model:info().path)
    os.execute("rm -r " .. folder)
  end)

  it("trains on a base in 4 bits by the recipe qlora", function()
    local folder = fresh()
    local record = lm.run("qlora", { model = MODEL, data = rows(), output = folder, max_steps = 2, max_length = 16,
      precision = "f32", quiet = true })
    assert.equal(2, record.steps)
    assert.equal("nf4", require("lm.json").decode(io.open(folder .. "/options.json"):read("*a")).quantize)
    os.execute("rm -r " .. folder)
  end)

  it("trains a new model from texts, which answers and goes on", function()
    local folder = fresh()
    local texts = {}
    for i = 1, 24 do texts[i] = { text = "The cat number " .. i .. " sat on the mat and saw the dog." } end
    local model, run = lm.pretrain{
      data = texts, shape = { hidden_size = 32, n_layers = 2 }, tokenizer = { vocab_size = 280 }, output = folder,
      max_steps = 4, batch_size = 4, max_length = 32, packing = false, precision = "f32", quiet = true,
      on_step = function(e) return e.step < 2 end,
    }
    assert.truthy(run.stopped)
    assert.equal(folder .. "/model", model:info().path)
    assert.equal(32, model:info().hidden_size)
    -- The first step's loss is that of guessing among all tokens.
    local first = require("lm.train_history").read(folder)[1]
    assert.truthy(math.abs(first.loss - math.log(lm.tokenizer(model).vocab_size)) < 0.1)
    model, run = lm.pretrain{ resume = folder, data = texts, quiet = true }
    assert.equal(4, run.steps)
    assert.truthy(model:generate("The cat", { max_tokens = 4 }).text)
    for message, o in pairs({ ["expected one of them"] = { params = "1M", shape = { hidden_size = 64 } },
      ["a number of parameters"] = { params = "many" }, ["shape.n_layers: required"] = { shape = { hidden_size = 64 } },
      ["say other ones"] = { like = MODEL, params = "1M" } }) do
      o.data, o.output, o.quiet = texts, folder .. "-bad", true
      assert.raises(message, lm.pretrain, o)
    end
    assert.raises("data: required", lm.pretrain, { params = "1M" })
    os.execute("rm -rf " .. folder .. " " .. folder .. "-bad")
  end)

  it("trains tokenizers and models by recipes", function()
    local folder = fresh()
    local path = folder .. "-texts.jsonl"
    local file = assert(io.open(path, "w"))
    for i = 1, 20 do file:write('{"text": "The cat number ', i, ' sat on the mat."}\n') end
    file:close()
    local made = lm.run("tokenizer", { files = path, vocab_size = 270, special_tokens = { "<|endoftext|>" },
      output = folder .. "/tokenizer.json" })
    assert.equal(270, made.vocab_size)
    local t = lm.tokenizer(made.output)
    assert.equal(nil, t:id("text"), "the rows' texts are learned from, not their syntax")
    local record = lm.run("pretrain", { data = path, params = "50k", tokenizer = made.output, output = folder .. "/run",
      max_steps = 1, max_length = 16, quiet = true })
    assert.equal(folder .. "/run/model", record.model)
    os.execute("rm -r " .. folder .. " " .. path)
  end)

  it("mixes files by weight, writes a report, and goes on with the same rows", function()
    local folder = fresh()
    local paths = {}
    for i, n in ipairs({ 10, 2 }) do
      paths[i] = ("%s-%d.jsonl"):format(folder, i)
      local file = assert(io.open(paths[i], "w"))
      for k = 1, n do file:write(('{"input_ids": [%d, %d, 7, 8], "labels": [-100, -100, 7, 8]}\n'):format(i + 1, k + 1)) end
      file:close()
    end
    local data = { { paths[1], weight = 0.5 }, { path = paths[2], weight = 3 } }
    local function go(o)
      o.data, o.packing, o.batch_size, o.lora = o.resume == nil and data or nil, false, 1, { rank = 2 }
      o.model, o.max_length, o.precision, o.quiet = MODEL, 16, "f32", true
      return lm.train(o)
    end
    local _, whole = go{ output = folder .. "/whole" }
    assert.equal(5 + 6, whole.steps)
    go{ output = folder .. "/parts", on_step = function(e) return e.step < 4 end }
    local _, rest = go{ resume = folder .. "/parts" }
    assert.equal(whole.loss, rest.loss)
    local file = assert(io.open(folder .. "/parts/report.html"))
    local page = file:read("*a")
    file:close()
    assert.contains("<td>rows</td><td>11</td>", page)
    assert.raises("data[1].weight is -1", lm.train, { model = MODEL, data = { { paths[1], weight = -1 } } })
    os.execute("rm -r " .. folder .. " " .. table.concat(paths, " "))
  end)

  it("adds tokens to a model before training it", function()
    local folder, start = fresh(), fresh()
    local texts = { { text = "one two three <|think|> four" }, { text = "five six" } }
    lm.pretrain{ data = texts, shape = { hidden_size = 32, n_layers = 1 }, output = start, max_steps = 1, max_length = 32,
      quiet = true }
    local model = lm.train{ model = start .. "/model", data = texts, new_tokens = { "<|think|>" }, output = folder,
      max_steps = 1, max_length = 32, precision = "f32", quiet = true }
    local before = lm.tokenizer(start .. "/model").vocab_size
    local t = lm.tokenizer(model)
    assert.equal(before + 1, t.vocab_size)
    assert.same({ before }, t:encode("<|think|>", { special = false, parse_special = true }))
    os.execute("rm -r " .. folder .. " " .. start)
  end)

  it("refuses what it cannot use", function()
    for _, case in ipairs({
      { { lora = { rank = 2, targets = { "qproj" } } }, "the model's matrices are" },
      { { data = { { some = "thing" } } }, "no known shape" },
      { { quantize = "nf4" }, "it needs lora" },
      { { lora = { rank = 2 }, memory_limit = 0.001 }, "the run needs" },
    }) do
      case[1].output = fresh()
      local fine, e = pcall(train, case[1])
      assert.falsy(fine)
      assert.contains(case[2], tostring(e))
      os.execute("rm -rf " .. case[1].output)
    end
  end)
end)
