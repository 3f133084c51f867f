--- Paths below allowed folders: what files and grep may touch. Links that lead out are refused.

local engine = require("lm.engine.files")
local errors = require("lm.errors")
local host = require("lm.host")
local text = require("lm.text")

local M = {}

local MOST_FILES, MOST_DEPTH = 10000, 20

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

--- Visits the files of a folder and the folders in it, or a file alone. Hidden ones and links that lead out are left
--- out.
--- @param resolve function  as from `below`
--- @param path string
--- @param visit fun(path: string, root: string): boolean  false ends it
function M.each_file(resolve, path, visit)
  local n = 0
  local function walk(folder, root, depth)
    local entries = host.list_dir(folder)
    if not entries then return visit(folder, root) end
    for _, entry in ipairs(entries) do
      if not entry.name:find("^%.") then
        local fine, inner = pcall(resolve, folder .. "/" .. entry.name, true)
        if fine and entry.dir then
          if depth < MOST_DEPTH and walk(inner, root, depth + 1) == false then return false end
        elseif fine then
          n = n + 1
          if n > MOST_FILES or not visit(inner, root) then return false end
        end
      end
    end
  end
  local start, root = resolve(path, true)
  walk(start, root, 0)
end

return M
