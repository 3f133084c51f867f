--- Models into other file formats and weight types.

local define = require("lm.define")
local engine = require("lm.engine.convert")
local errors = require("lm.errors")
local host = require("lm.host")
local model_engine = require("lm.engine.model")
local models = require("lm.models")
local text = require("lm.text")

local M = {}

-- Shows how far a conversion is, and how long the rest will take.
local function progress(to)
  local begin, shown = host.now(), 0
  return function(fraction)
    local now = host.now()
    if now - shown < 0.2 then return end
    shown = now
    host.job_progress(fraction, "writing " .. to, fraction > 0.01 and (now - begin) * (1 - fraction) / fraction or nil)
    host.pump()
  end
end

local meta = {}

function meta.__tostring(r)
  local parts = {}
  for _, type_name in ipairs(text.sorted_keys(r.types)) do
    parts[#parts + 1] = ("%d %s"):format(r.types[type_name], type_name)
  end
  local more = #r.files > 1 and (" and %d more files"):format(#r.files - 1) or ""
  return ("%s%s  %s  tensors: %s"):format(r.files[1], more, text.bytes(r.bytes), table.concat(parts, ", "))
end

local function convert(name, o)
  local ok, result = pcall(engine.convert, {
    from = o.from, to = o.to, type = o.type, overwrite = o.overwrite, adapters = o.adapters,
    max_file_bytes = o.max_file_gb and o.max_file_gb * 1e9 or nil,
  }, progress(o.to))
  host.progress("")
  if ok then return setmetatable(result, meta) end
  if not errors.is(result) or result.code == "interrupted" then error(result, 0) end
  errors.raise(result.code, name .. ": " .. result.message, { hint = result.hint, help = name })
end

local target_options = {
  { name = "type", type = "string", min = 1,
    doc = "weight type: " .. table.concat(engine.types(), ", "), default_text = "the weights as they are" },
  { name = "max_file_gb", type = "number", min = 0.001, max = 100000,
    doc = "split larger models into files of at most this many gigabytes (10^9 bytes)" },
  { name = "overwrite", type = "boolean", default = false, doc = "replace what is there already" },
}

local function with_target(...)
  local options = { ... }
  for _, field in ipairs(target_options) do options[#options + 1] = field end
  return options
end

--- Converts a model to another format or to other weight types, and returns what was written: format, files, bytes,
--- and the number of tensors of each type.
---
--- `from` is a GGUF file, a Hugging Face folder or a checkpoint of llama2.c. A name in `to` that ends in `.gguf` gives
--- a GGUF file, which llama.cpp loads too; any other name a Hugging Face folder. Without `type` the numbers stay as
--- they are; only quantised weights become f16 in a folder.
--- Quantised types follow `llama-quantize`: `q4_k_m` keeps more bits in the output matrix and in some layers.
--- ```lua
--- lm.convert{ from = "smollm2", to = "smollm2-q8.gguf", type = "q8_0" }
--- ```
M.convert = define("lm.convert", {
  options = with_target(
    { name = "from", type = "string", required = true, min = 1, kind = "model", doc = "model name, file or folder" },
    { name = "to", type = "string", required = true, min = 1, doc = "a name ending in .gguf, or a folder" }),
  background = true, returns = "table",
}, function(o)
  o.from = models.resolve(o.from)
  return convert("lm.convert", o)
end)

-- The adapters of a model as the engine merges them.
local function adapters_of(model)
  local list = {}
  for _, adapter in ipairs(model_engine.adapters(model)) do list[#list + 1] = { adapter.path, adapter.scale } end
  return list
end

--- Saves the model, read again from its files and with its adapters merged in: to a GGUF file when the name ends in
--- `.gguf`, else to a Hugging Face folder.
--- ```lua
--- m:save{ "copy.gguf", type = "q8_0" }
--- ```
model_engine.model_methods.save = define("Model:save", {
  positional = { "to" },
  options = with_target({ name = "to", type = "string", required = true, min = 1,
    doc = "a name ending in .gguf, or a folder" }),
  returns = "table",
}, function(self, o)
  o.from = model_engine.info(self).path
  o.adapters = adapters_of(self)
  return convert("Model:save", o)
end)

--- Merges the model's adapters into its weights, in f32 and rounded once, and returns the new model. Quantised weights
--- become f16, so that nothing is lost; `type` quantises them again.
--- ```lua norun
--- m = lm.train{ data = "chat.jsonl", lora = { rank = 16 } }:merge{ "merged.gguf", type = "q8_0" }
--- ```
model_engine.model_methods.merge = define("Model:merge", {
  positional = { "to" },
  options = with_target({ name = "to", type = "string", min = 1, doc = "a name ending in .gguf, or a folder",
    default_text = "a folder `merged` beside the first adapter" }),
  returns = "lm.Model",
}, function(self, o)
  o.from = model_engine.info(self).path
  o.adapters = adapters_of(self)
  if #o.adapters == 0 then
    errors.raise("bad_option", "Model:merge: the model has no adapters", { help = "Model:merge" })
  end
  o.to = o.to or o.adapters[1][1]:gsub("/+$", "") .. "/../merged"
  convert("Model:merge", o)
  return require("lm.model").load(o.to)
end)

return M
