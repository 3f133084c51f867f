-- Pictures in the shell: classes and conversations. Reference: transformers in float32 (tests/data/models/generate.py).
local ok = pcall(require, "lm.engine.vision")
if not ok then
  pending("needs the engine")
  return
end

local models, images = "tests/data/models/", "tests/data/images/"

local function error_of(f, ...)
  local fine, e = pcall(f, ...)
  assert.falsy(fine)
  return e
end

local loaded = {}
local function model(name)
  loaded[name] = loaded[name] or lm.load(models .. name, { precision = "exact" })
  return loaded[name]
end

local function question(path)
  return { { role = "user", content = { { type = "image", path = path }, { type = "text", text = "What is it?" } } } }
end

describe("vision", function()
  it("classifies a picture, most likely first", function()
    local m = model("vit")
    local rows = m:classify{ image = images .. "rgb.png" }
    assert.equal(5, #rows)
    local sum = 0
    for i, row in ipairs(rows) do
      sum = sum + row.score
      assert.truthy(i == 1 or rows[i - 1].score >= row.score)
      assert.truthy(row.label:find("^LABEL_%d$"))
    end
    assert.truthy(math.abs(sum - 1) < 1e-9)
    local best = m:classify(images .. "rgb.png", { top_n = 1 })
    assert.equal(1, #best)
    assert.equal(rows[1].label, best[1].label)
    assert.equal("not_found", error_of(m.classify, m, "absent.png").code)
    assert.equal("unsupported", error_of(m.classify, m, "README.md").code)
    assert.truthy(error_of(m.generate, m, { ids = { 1 } }).message:find("reads images, not texts", 1, true))
  end)

  it("answers a question about a picture as transformers does", function()
    local m = model("smolvlm")
    local options = { max_tokens = 8, temperature = 0 }
    local r = m:generate{ messages = question(images .. "rgb.png"), max_tokens = 8, temperature = 0 }
    assert.equal(table.concat({ 70, 70, 70, 70, 70, 33, 64, 17 }, " "), table.concat(r.ids, " "))
    assert.equal(76, r.usage.prompt_tokens)
    local c = m:chat()
    assert.equal(r.text, c:say("What is it?", { image = images .. "rgb.png", max_tokens = 8, temperature = 0 }))
    c:say("And now?", options)  -- the picture stays in the conversation
    assert.equal(4, #c.messages)
    local other = m:generate{ messages = question(images .. "grey.png"), max_tokens = 8, temperature = 0 }
    assert.truthy(other.usage.prompt_tokens ~= r.usage.prompt_tokens or other.text ~= r.text)
  end)

  it("says what cannot be done", function()
    local m = model("smolvlm")
    local c = m:chat()
    assert.equal("not_found", error_of(c.say, c, "What?", { image = "absent.png" }).code)
    assert.equal(0, #c.messages)
    assert.truthy(error_of(m.generate, m, { messages = { { role = "user", content = { { type = "image" } } } } }).message
      :find("no path", 1, true))
    local e = error_of(m.generate, m, { messages = { { role = "user", content = {
      { type = "image", path = images .. "rgb.png" }, { type = "text", text = "an <image>" } } } } })
    assert.truthy(e.message:find("2 times for 1 images", 1, true))
    assert.equal("unsupported",
      error_of(m.generate, m, { messages = question(images .. "rgb.png"), num_beams = 2, temperature = 0 }).code)
    e = error_of(m.classify, m, images .. "rgb.png")
    assert.truthy(e.message:find("no classification head", 1, true))
    e = error_of(function() return model("llama"):classify(images .. "rgb.png") end)
    assert.truthy(e.message:find("reads texts only", 1, true))
  end)
end)
