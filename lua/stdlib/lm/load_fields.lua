--- The schema fields of lm.load that other functions take too: what a model costs in memory and accuracy.

local M = {}

--- How numbers are kept and multiplied.
--- @param doc string
--- @return table field
function M.precision(doc)
  return { name = "precision", type = "string", enum = { "high", "fast", "exact" }, default = "high", doc = doc }
end

--- The type of keys and values.
--- @param doc string
--- @return table field
function M.kv_cache(doc)
  return { name = "kv_cache", type = "string", enum = { "f16", "bf16", "int8", "int4" }, default = "f16", doc = doc }
end

return M
