-- Embeddings, reranking and adapters from Lua. The numbers themselves are checked against references in
-- tests/cpp/arch_test.cpp and real_model_test.cpp; here: what the functions take, return and refuse.

local ok = pcall(require, "lm.engine.embed")
if not ok then
  pending("needs the engine")
  return
end

local lm = require("lmfast")

local function tiny(name) return "tests/data/models/" .. name end

local function error_of(f, ...)
  local done, e = pcall(f, ...)
  assert.truthy(not done)
  return tostring(e)
end

describe("embeddings", function()
  it("give one vector for a text and a list for a list, the same alone and together", function()
    local m = lm.load(tiny("bert"))
    local both = m:embed{ { 5, 6, 7 }, { 8, 9 } }
    assert.equal(2, #both)
    local alone = m:embed{ { 8, 9 } }[1]
    assert.equal(32, #alone)
    for i = 1, 32 do assert.equal(alone[i], both[2][i]) end
    assert.truthy(math.abs(alone * alone - 1) < 1e-5)
    assert.contains("Embedding  32 numbers", tostring(alone))
  end)

  it("can be cut short, left unnormalised and pooled otherwise", function()
    local m = lm.load(tiny("bert"))
    assert.equal(8, #m:embed{ { { 5, 6, 7 } }, dimensions = 8 }[1])
    local raw = m:embed{ { { 5, 6, 7 } }, normalize = false }[1]
    assert.truthy(math.abs(raw * raw - 1) > 1e-3)
    local first = m:embed{ { { 5, 6, 7 } }, pooling = "cls" }[1]
    assert.truthy(first[1] ~= raw[1])
  end)

  it("refuse ids outside the vocabulary, empty texts and too many dimensions", function()
    local m = lm.load(tiny("bert"))
    assert.contains("outside the vocabulary", error_of(m.embed, m, { { 96 } }))
    assert.contains("no tokens", error_of(m.embed, m, { {} }))
    assert.contains("dimensions is 33", error_of(m.embed, m, { { { 5 } }, dimensions = 33 }))
  end)
end)

describe("reranking", function()
  it("needs a tokenizer, and orders nothing into nothing", function()
    local m = lm.load(tiny("bert-rerank"))
    assert.equal(0, #lm.rerank{ model = m, query = "a", documents = {} })
    assert.contains("no tokenizer", error_of(lm.rerank, { model = m, query = "a", documents = { "b" } }))
  end)
end)

describe("adapters", function()
  it("change the answers of a model while they are there", function()
    local m = lm.load(tiny("llama"))
    local before = m:logits{ ids = { 5, 6, 7 } }
    m:add_adapter(tiny("llama-lora"))
    assert.equal("llama-lora", m:adapters()[1].name)
    assert.equal("peft", m:adapters()[1].format)
    local with = m:logits{ ids = { 5, 6, 7 } }
    assert.truthy(with[1] ~= before[1])
    assert.contains("has an adapter", error_of(m.add_adapter, m, tiny("llama-lora")))
    m:remove_adapter("llama-lora")
    assert.equal(0, #m:adapters())
    local after = m:logits{ ids = { 5, 6, 7 } }
    for i = 1, #before do assert.equal(before[i], after[i]) end
    assert.contains("has no adapter", error_of(m.remove_adapter, m, "llama-lora"))
  end)

  it("are refused by another base, with what differs", function()
    local m = lm.load(tiny("gpt2"))
    assert.contains("does not have", error_of(m.add_adapter, m, tiny("llama-lora")))
  end)
end)
