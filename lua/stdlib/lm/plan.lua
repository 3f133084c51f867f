--- What memory a model takes, before it is loaded.

local define = require("lm.define")
local engine = require("lm.engine.model")
local load_fields = require("lm.load_fields")
local models = require("lm.models")
local text = require("lm.text")

local M = {}

local meta = {}

function meta.__tostring(p)
  local lines = { p.model }
  for _, row in ipairs({
    { "weights", p.weights }, { "kv cache", p.kv_cache, ("%d x %d tokens"):format(p.batch, p.context) },
    { "state", p.state, "of recurrent layers" }, { "scratch", p.scratch }, { "logits", p.logits },
    { "program", p.program, "with tokenizer and template" },
  }) do
    if row[2] > 0 then
      lines[#lines + 1] = ("  %-9s %10s%s"):format(row[1], text.bytes(row[2]), row[3] and "  " .. row[3] or "")
    end
  end
  lines[#lines + 1] = ("  %-9s %10s  %s: the machine has %s free"):format("total", text.bytes(p.total),
    p.fits and "fits" or "does not fit", text.bytes(p.free_bytes))
  return table.concat(lines, "\n")
end

--- Tells what memory a model takes, in bytes, without loading it: `weights`, `kv_cache` (of `batch` texts of `context`
--- tokens), `state`, `scratch`, `logits`, `program`, their `total`, and whether that `fits` into what is free.
--- ```lua
--- lm.plan{ "smollm2", context = 2048, batch = 4 }
--- ```
M.plan = define("lm.plan", {
  positional = { "model" },
  options = {
    { name = "model", type = "string", required = true, min = 1, kind = "model", doc = "name, file or folder" },
    { name = "context", type = "integer", min = 1, max = 2 ^ 31, doc = "tokens of each text",
      default_text = "what the model was made for" },
    { name = "batch", type = "integer", default = 1, min = 1, max = 4096, doc = "texts at the same time" },
    load_fields.precision "as in lm.load",
    load_fields.kv_cache "as in lm.load",
  },
  returns = "table",
}, function(o)
  local p = engine.plan(models.resolve(o.model), o, o.context or 0, o.batch)
  p.model, p.fits = o.model, p.total <= p.free_bytes
  return setmetatable(p, meta)
end)

return M
