--- Adapters: weights that work beside a model's own, added and removed while it is in use.

local define = require("lm.define")
local engine = require("lm.engine.model")

local methods = engine.model_methods

--- Adds an adapter to a model, which answers with it from then on.
---
--- Takes folders of PEFT (LoRA with rsLoRA and DoRA, IA3, prompt and prefix tuning) and mlx-lm (adapter_config.json
--- with safetensors) and GGUF adapters. Several adapters add up; one of them can be a prompt or a prefix.
--- An adapter of another base is refused, with the shapes that differ.
--- ```lua norun
--- m:add_adapter("my-lora", { scale = 0.5 })
--- m:remove_adapter "my-lora"
--- ```
methods.add_adapter = define("Model:add_adapter", {
  positional = { "path" },
  options = {
    { name = "path", type = "string", required = true, min = 1, kind = "file", doc = "folder or .gguf file" },
    { name = "name", type = "string", min = 1, doc = "what to call it", default_text = "the folder's or file's name" },
    { name = "scale", type = "number", default = 1, min = -1000, max = 1000, doc = "strength" },
  },
  returns = "lm.Model",
}, function(self, o)
  engine.add_adapter(self, o.path, o.name or "", o.scale)
  return self
end)

--- Takes an adapter away again.
methods.remove_adapter = define("Model:remove_adapter", {
  positional = { "name" },
  options = { { name = "name", type = "string", required = true, doc = "one of `adapters()`" } },
  returns = "lm.Model",
}, function(self, o)
  engine.remove_adapter(self, o.name)
  return self
end)

--- Lists the adapters of a model: records of `name`, `format`, `path`, `scale` and `n_params`.
methods.adapters = define("Model:adapters", { args = {}, returns = "table[]" }, function(self)
  local list = engine.adapters(self)
  return list
end)

return {}
