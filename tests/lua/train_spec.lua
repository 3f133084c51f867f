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
