--- What names of models mean, and which files of a repository are chosen. Downloads are tested in tests/hub.

local hub_files = require("lm.hub_files")
local licenses = require("lm.licenses")
local parse = require("lm.model_name").parse
local progress = require("lm.progress")

local function files(text)
  local list = {}
  for path, bytes in text:gmatch("(%S+):(%d+)") do list[#list + 1] = { path = path, bytes = tonumber(bytes) } end
  return list
end

local function choose(text, want)
  local chosen = hub_files.choose({ id = "o/n", caller = "lm.pull" }, files(text), want or {})
  local paths = {}
  for i, file in ipairs(chosen.files) do paths[i] = file.path end
  return table.concat(paths, " "), chosen.main
end

describe("names of models", function()
  it("are repositories with revision and weight type", function()
    assert.same({ kind = "hub", id = "org/name", revision = "main", has_revision = false }, parse("org/name"))
    assert.same({ kind = "hub", id = "o-1/n_2.5", revision = "refs/pr/1", has_revision = true }, parse("o-1/n_2.5@refs/pr/1"))
    assert.same({ kind = "hub", id = "o/n", revision = "v1", has_revision = true, quant = "Q4_K_M" }, parse("hub:o/n@v1:Q4_K_M"))
    assert.equal("IQ4_XS", parse("o/n:IQ4_XS").quant)
  end)

  it("are members of packages and addresses", function()
    assert.same({ kind = "pypi", package = "a-b", version = "1.0rc1", member = "x/y.gguf" }, parse("pypi:a-b==1.0rc1/x/y.gguf"))
    assert.same({ kind = "url", url = "https://h/x" }, parse("https://h/x"))
  end)

  it("are something else otherwise", function()
    for _, name in ipairs({ "smollm2", "/abs/path", "./x", "a/b/c", "../x", "o/n:", "o/n@", "o/n:a/b", "pypi:x", "pypi:-x==1/y",
      "pypi:x==/y", "a--b/c", "~/m", "" }) do
      assert.equal("other", parse(name).kind, name)
    end
  end)
end)

describe("files of a repository", function()
  local hf = "config.json:1 tokenizer.json:2 README.md:3 "

  it("are weights and what belongs to them", function()
    assert.equal("config.json tokenizer.json model.safetensors", (choose(hf .. "model.safetensors:9 pytorch_model.bin:9 x/y.onnx:1")))
    assert.equal("config.json tokenizer.json pytorch_model.bin", (choose(hf .. "pytorch_model.bin:9 tf_model.h5:9")))
    local shards = "model.safetensors.index.json%s model-00001-of-00002.safetensors%s model-00002-of-00002.safetensors%s"
    assert.equal("config.json tokenizer.json " .. shards:gsub("%%s", ""),
      (choose(hf .. shards:gsub("%%s", ":1") .. " consolidated.safetensors:9")))
    assert.equal("adapter_config.json adapter_model.safetensors", (choose("adapter_config.json:1 adapter_model.safetensors:2 x.txt:1")))
  end)

  it("are one GGUF file where there is no other choice", function()
    local paths, main = choose("README.md:1 m-Q8_0.gguf:9 mmproj-f16.gguf:3")
    assert.equal("m-Q8_0.gguf", paths)
    assert.equal("m-Q8_0.gguf", main)
    assert.raises("2 GGUF files", choose, "m-Q8_0.gguf:9 m-Q4_0.gguf:5")
    assert.equal("m-Q4_0.gguf", (choose("m-Q8_0.gguf:9 m-Q4_0.gguf:5", { quant = "q4_0" })))
    assert.equal("UD/m-UD-Q4_K_XL.gguf", (choose("UD/m-UD-Q4_K_XL.gguf:9 m-Q4_K.gguf:5", { quant = "UD-Q4_K_XL" })))
    assert.raises("no GGUF file \"Q4_K\"", choose, "m-Q4_K_M.gguf:9", { quant = "Q4_K" })
    assert.equal("m-Q4_0.gguf", (choose(hf .. "model.safetensors:9 m-Q4_0.gguf:5", { format = "gguf" })))
  end)

  it("follow shell patterns", function()
    assert.equal("a/b.json c.json", (choose("a/b.json:1 c.json:1 d.txt:1", { include = "*.json" })))
    assert.equal("c.json", (choose("a/b.json:1 c.json:1 d.txt:1", { include = { "*.json" }, exclude = "a/" })))
    assert.equal("x-1.bin", (choose("x-1.bin:1 x-12.bin:1", { include = "x-?.bin" })))
    assert.equal("a+b.(1).bin", (choose("a+b.(1).bin:1 ab1.bin:1", { include = "a+b.(1).bin" })))
    assert.raises("no file of o/n matches", choose, "a:1", { include = "b" })
  end)

  it("are refused when there are no weights", function()
    assert.raises("no weights that lmfast reads", choose, hf)
    assert.raises("no weights that lmfast reads", choose, "m.gguf:1", { format = "safetensors" })
    assert.raises("no GGUF files", choose, hf .. "model.safetensors:1", { format = "gguf" })
  end)
end)

describe("licences", function()
  it("are open or not", function()
    for _, name in ipairs({ "mit", "apache-2.0", "Apache-2.0", "bsd-3-clause", "cc-by-4.0" }) do assert.truthy(licenses.is_open(name)) end
    for _, name in ipairs({ "llama3.2", "gemma", "other", "cc-by-nc-4.0", "openrail", "" }) do assert.falsy(licenses.is_open(name)) end
    assert.falsy(licenses.is_open(nil))
  end)
end)

describe("the progress of a download", function()
  it("tells bytes and rate", function()
    assert.equal("1.0 MiB of 4.0 MiB  512 KiB/s",
      progress.describe({ done = 2 ^ 20, total = 2 ^ 22, bytes_per_s = 2 ^ 19 }))
    assert.equal("3 B  waiting", progress.describe({ done = 3, total = 0, state = "waiting" }))
  end)
end)

if pcall(require, "lm.engine.hub") then
  describe("lm.pull", function()
    local lm = require("lm")

    it("returns a path that exists", function()
      assert.equal("lua", lm.pull("lua"))
    end)

    it("explains names that mean nothing", function()
      local _, e = pcall(lm.pull, "smolm2")
      assert.equal("not_found", e.code)
      assert.contains("no model \"smolm2\"", e.message)
      assert.contains("smollm2", e.hint)
      assert.raises("does not end in a file name", lm.pull, "https://host/")
    end)
  end)
end
