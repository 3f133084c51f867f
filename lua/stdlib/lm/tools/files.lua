--- Files below allowed folders: list, read, write.

local engine = require("lm.engine.files")
local errors = require("lm.errors")
local host = require("lm.host")
local json = require("lm.json")
local roots = require("lm.tools.roots")

local M = {}

local MOST = 1024 * 1024

local actions = {}

function actions.list(path)
  local entries, message = host.list_dir(path)
  if not entries then errors.raise("io", message) end
  local names = json.array()
  for i, entry in ipairs(entries) do names[i] = entry.name .. (entry.dir and "/" or "") end
  return names
end

function actions.read(path)
  local file, message = io.open(path, "rb")
  if not file then errors.raise("io", message) end
  local content = file:read(MOST)
  file:close()
  if content == nil and message == nil then return "" end
  return content or ""
end

function actions.write(path, content)
  engine.replace(path, content or "")
  return ("%d bytes written"):format(#(content or ""))
end

--- @param config table  {roots = {"."}, write = false}
--- @return table tool
function M.make(config)
  local resolve = roots.below(config.roots or { "." })
  local allowed = json.array(config.write and { "list", "read", "write" } or { "list", "read" })
  return {
    name = "files", doc = "Lists folders, reads" .. (config.write and ", writes" or "") .. " files.",
    permissions = { "files" },
    params = { type = "object", required = { "action", "path" }, additionalProperties = false, properties = {
      action = { type = "string", enum = allowed, description = "what to do" },
      path = { type = "string", description = "the file or folder" },
      content = config.write and { type = "string", description = "what to write" } or nil } },
    run = function(o) return actions[o.action](resolve(o.path, o.action ~= "write"), o.content) end,
  }
end

return M
