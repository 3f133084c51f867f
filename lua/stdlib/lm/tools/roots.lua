--- Paths below allowed folders: what files and grep may touch. Links that lead out are refused.

local engine = require("lm.engine.files")
local errors = require("lm.errors")
local text = require("lm.text")

local M = {}

--- Makes a function that turns a path into one below a root, or raises.
--- @param roots string[]
--- @return fun(path: string, must_exist?: boolean): string
function M.below(roots)
  local real = {}
  for i, root in ipairs(roots) do
    real[i] = engine.real_path(root)
    if not real[i] then errors.raise("not_found", ("lm.tool: there is no folder %s"):format(text.quote(root))) end
  end
  return function(path, must_exist)
    if path:find("%z") then errors.raise("bad_option", "the path holds a zero byte") end
    for _, root in ipairs(real) do
      local full = path:sub(1, 1) == "/" and path or root .. "/" .. path
      local resolved = engine.real_path(full)
      if not resolved and not must_exist then
        -- A file that is yet to be made: its folder must be inside.
        local folder, name = full:match("^(.*)/([^/]+)$")
        local inside = folder and name ~= ".." and name ~= "." and engine.real_path(folder)
        resolved = inside and inside .. "/" .. name
      end
      if resolved and (resolved == root or resolved:sub(1, #root + 1) == root .. "/") then return resolved, root end
    end
    errors.raise("denied", ("%s is not there or not below the allowed folders"):format(text.quote(path)))
  end
end

return M
