-- lm.convert and Model:save on the tiny model of the shared test data; that the weights are right is checked in C++
-- (tests/cpp/quantize_test.cpp: whole files equal llama.cpp's).
local json = require("lm.json")

local ok = pcall(require, "lm.engine.convert")
if not ok then
  pending("needs the engine")
  return
end

local data = os.getenv("LMFAST_TEST_DATA") or "../shared/data"

local function source(name)
  local path = data .. "/models/stories260K/" .. name
  local file = io.open(path, "rb")
  if not file then pending("shared test data is missing: " .. path) end
  file:close()
  return path
end

local function golden()
  local file = assert(io.open(source("golden.json"), "rb"))
  local text = file:read("*a")
  file:close()
  return json.decode(text).cases[2]
end

local function error_of(f, ...)
  local fine, e = pcall(f, ...)
  assert.falsy(fine)
  return e
end

local function fresh(ending)
  local path = os.tmpname()
  os.remove(path)
  return path .. ending
end

describe("convert", function()
  it("writes other weight types, which load and tell the same story", function()
    local expected = golden()
    for _, type_name in ipairs({ "f16", "bf16", "Q8_0" }) do
      local path = fresh(".gguf")
      local result = lm.convert{ from = source("gguf/stories260K-F32.gguf"), to = path, type = type_name }
      assert.equal("gguf", result.format)
      assert.equal(path, result.files[1])
      assert.contains("tensors:", tostring(result))
      local m = lm.load(path)
      assert.equal(type_name:lower(), m:info().dtype)
      local ids = m:generate{ ids = expected.prompt_ids, max_tokens = 20, temperature = 0 }.ids
      for i = 1, 20 do assert.equal(expected.greedy_ids[i], ids[i], type_name) end
      os.remove(path)
    end
  end)

  it("saves a loaded model without touching what is there already", function()
    local m = lm.load(source("gguf/stories260K-Q4_0.gguf"))
    local path = fresh(".gguf")
    m:save(path)
    assert.equal(m:info().dtype, lm.load(path):info().dtype)
    local prompt = golden().prompt
    assert.equal(m:generate{ prompt, max_tokens = 20, temperature = 0 }.text,
      lm.load(path):generate{ prompt, max_tokens = 20, temperature = 0 }.text)
    local e = error_of(m.save, m, path)
    assert.equal("bad_option", e.code)
    assert.contains("exists already", e.message)
    m:save{ path, type = "f32", overwrite = true }
    assert.equal("f32", lm.load(path):info().dtype)
    os.remove(path)
  end)

  it("makes folders of llama2.c checkpoints and of folders, which tell the same story", function()
    local expected = golden()
    local first, second = fresh(""), fresh("")
    local result = lm.convert{ from = source("stories260K.bin"), to = first }
    assert.equal("safetensors", result.format)
    result = lm.convert{ from = first, to = second, type = "bf16", max_file_gb = 0.001 }
    assert.truthy(result.types.bf16 > 0)
    local m = lm.load(second)
    local ids = m:generate{ ids = expected.prompt_ids, max_tokens = 20, temperature = 0 }.ids
    for i = 1, 20 do assert.equal(expected.greedy_ids[i], ids[i]) end
    local e = error_of(lm.convert, { from = first, to = fresh(""), type = "q8_0" })
    assert.contains("needs a .gguf file", e.message)
    for _, folder in ipairs({ first, second }) do os.execute("rm -r '" .. folder .. "'") end
  end)

  it("names unknown types and missing models", function()
    local from = source("gguf/stories260K-F32.gguf")
    local e = error_of(lm.convert, { from = from, to = fresh(".gguf"), type = "q9_9" })
    assert.equal("bad_option", e.code)
    assert.contains("q4_k_m", e.message)
    assert.equal("not_found", error_of(lm.convert, { from = from, to = "/no/such/folder/x.gguf" }).code)
    assert.equal("not_found", error_of(lm.convert, { from = "no-such-model", to = fresh(".gguf") }).code)
  end)

  it("runs as a background job", function()
    local path = fresh(".gguf")
    local job = lm.convert{ from = source("gguf/stories260K-F32.gguf"), to = path, type = "q8_0", background = true }
    job:wait()
    assert.equal("q8_0", lm.load(path):info().dtype)
    os.remove(path)
  end)
end)
