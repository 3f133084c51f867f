--- The built-in tools: one file each in lm/tools, one name each here. `lm.tool "calculator"` registers one;
--- `tools = { "calculator" }` gives it to an agent alone.

local errors = require("lm.errors")
local text = require("lm.text")

local M = {}

--- Their names.
M.names = { "calculator", "datetime", "fetch", "files", "grep", "lua", "python", "search", "sqlite" }

--- Makes one.
--- @param name string
--- @param config table
--- @return table tool  {name, doc, params, run, permissions}
function M.make(name, config)
  for _, known in ipairs(M.names) do
    if known == name then return require("lm.tools." .. name).make(config) end
  end
  local near = text.nearest(name, M.names)
  errors.raise("not_found", ("lm.tool: there is no tool %s; built in are %s"):format(text.quote(name),
    table.concat(M.names, ", ")), { hint = near and ("did you mean %s?"):format(text.quote(near)) or nil })
end

return M
