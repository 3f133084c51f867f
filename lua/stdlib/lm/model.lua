--- Models: load, inspect, tokens. What runs them is in lm.generate and lm.conversation.

local define = require("lm.define")
local engine = require("lm.engine.model")
local errors = require("lm.errors")
local host = require("lm.host")
local load_fields = require("lm.load_fields")
local models = require("lm.models")
local text = require("lm.text")

local M = {}

-- Methods of "lm.Model" handles; the metatable is the engine's.
local methods = engine.model_methods

local function human_count(n)
  if n >= 1e9 then return ("%.2f B"):format(n / 1e9) end
  return ("%.1f M"):format(n / 1e6)
end

-- The catalogue's names of models that were loaded by one; the name in the file is often a title.
local known_names = setmetatable({}, { __mode = "k" })

local function info_of(model)
  local info = engine.info(model)
  info.title = info.name
  info.name = known_names[model] or info.name
  return info
end

function engine.model_meta.__tostring(model)
  local ok, info = pcall(info_of, model)
  if not ok then return "Model (freed)" end
  return ("Model %s  %s  %s params  %s  cpu  %s"):format(info.name, info.architecture, human_count(info.n_params),
    info.dtype,
    text.bytes(info.memory_bytes))
end

-- The model that lm.chat and lm.generate use when none is named.
local current

local function progress_while(name)
  local shown = host.now()
  return function(fraction)
    local now = host.now()
    if now - shown < 0.2 then return end
    shown = now
    host.progress(("loading %s  %d%%"):format(name, fraction * 100))
  end
end

local function load_model(o)
  local path, known = models.resolve(o.model)
  local ok, model = pcall(engine.load, path, o, progress_while(o.model))
  host.progress("")
  if not ok then
    local e = model
    if not errors.is(e) or e.code == "interrupted" then error(e, 0) end
    errors.raise(e.code, "lm.load: " .. e.message, { hint = e.hint, help = "lm.load" })
  end
  known_names[model] = known
  local info = engine.info(model)
  if info.warning then host.write_err("warning: " .. info.warning .. "\n") end
  current = model
  return model
end

--- Loads a model and makes it the current one.
---
--- Accepts a name of `lm.models()`, a `.gguf` file, a Hugging Face folder (config.json and .safetensors, sharded or
--- not), or a llama2.c `.bin` file with its tokenizer beside it.
--- ```lua
--- m = lm.load "smollm2"
--- ```
M.load = define("lm.load", {
  positional = { "model" },
  options = {
    { name = "model", type = "string", required = true, min = 1, kind = "model", doc = "name, file or folder" },
    load_fields.precision
      "high: in the types of the file; fast: 8-bit activations too; exact: f32 throughout, for comparisons",
    load_fields.kv_cache "type of keys and values unless exact; int8 takes half the memory, int4 0.42",
    { name = "kv_cache_tokens", type = "integer", min = 1, max = 2 ^ 40,
      doc = "tokens that are remembered at most, of all texts together", default_text = "as the memory allows" },
    { name = "mlock", type = "boolean", default = false, doc = "keep the weights in RAM, never swapped out" },
    { name = "adapter", type = "string", min = 1, kind = "file", doc = "a LoRA adapter to add: folder or .gguf file" },
  },
  background = true, returns = "lm.Model",
}, function(o)
  local model = load_model(o)
  if o.adapter then engine.add_adapter(model, o.adapter, "", 1) end
  return model
end)

--- Returns the current model, loading the first of the catalogue when there is none.
--- @return userdata model
function M.current()
  if not current then load_model({ model = require("lm.catalogue")[1].name }) end
  return current
end

--- Returns the model that an option `model` means: a handle, a name to load, or nothing for the current one.
--- @param model? userdata|string
--- @return userdata model
function M.of(model)
  if type(model) == "userdata" then return model end
  if model then return load_model({ model = model }) end
  return M.current()
end

--- Splits a text into token ids.
methods.tokenize = define("Model:tokenize", {
  positional = { "text" },
  options = {
    { name = "text", type = "string", required = true, doc = "any text" },
    { name = "add_special", type = "boolean", default = true, doc = "put the tokens around it that the model expects" },
    { name = "parse_special", type = "boolean", default = true, doc = "take special tokens in the text as such" },
  },
  returns = "integer[]",
}, function(self, o)
  local ids = engine.tokenize(self, o.text, o.add_special, o.parse_special)
  return ids
end)

--- Joins token ids to the text they stand for.
methods.detokenize = define("Model:detokenize", {
  positional = { "tokens" },
  options = {
    { name = "tokens", type = "array", required = true, items = { type = "integer", min = 0 }, doc = "token ids" },
    { name = "skip_special", type = "boolean", default = true, doc = "leave special tokens out" },
  },
  returns = "string",
}, function(self, o)
  local whole = engine.detokenize(self, o.tokens, o.skip_special)
  return whole
end)

--- Returns what is known about the model: name (its title in the file is `title`), sizes, types, path, special tokens.
methods.info = define("Model:info", { args = {}, returns = "table" }, function(self)
  local info = info_of(self)
  return info
end)

--- Gives the model's memory back now; later uses of this handle raise an error.
methods.free = define("Model:free", { args = {} }, function(self)
  if current == self then current = nil end
  engine.free(self)
end)

-- These add the methods that run a model; they ask for this module only when they need a model that was not passed.
require("lm.generate")
require("lm.conversation")
require("lm.score")
require("lm.embed")
require("lm.adapter")
require("lm.vision")

require("lm.convert")  -- Model:save

return M
