--- Search for a text in the files below allowed folders.

local json = require("lm.json")
local roots = require("lm.tools.roots")

local M = {}

local MOST_BYTES, MOST_HITS = 2 * 1024 * 1024, 100

local function each_line(content, visit)
  local n = 0
  for line in content:gmatch("([^\n]*)\n?") do
    n = n + 1
    if visit(n, line) == false then return end
  end
end

--- @param config table  {roots = {"."}}
--- @return table tool
function M.make(config)
  local resolve = roots.below(config.roots or { "." })
  return {
    name = "grep", doc = "Finds lines that contain a text in the files of a folder.", permissions = { "files" },
    params = { type = "object", required = { "text" }, additionalProperties = false, properties = {
      text = { type = "string", minLength = 1, description = "what to look for, as it is" },
      path = { type = "string", description = "the folder or file; without: all" },
      ignore_case = { type = "boolean" } } },
    run = function(o)
      local hits = json.array()
      local wanted = o.ignore_case and o.text:lower() or o.text
      local function search_file(path)
        local file = io.open(path, "rb")
        local content = file and file:read(MOST_BYTES)
        if file then file:close() end
        if not content or content:find("%z") then return end
        each_line(content, function(n, line)
          if (o.ignore_case and line:lower() or line):find(wanted, 1, true) then
            hits[#hits + 1] = ("%s:%d: %s"):format(path, n, line:sub(1, 300))
          end
          return #hits < MOST_HITS
        end)
      end
      roots.each_file(resolve, o.path or ".", function(path)
        search_file(path)
        return #hits < MOST_HITS
      end)
      return hits
    end,
  }
end

return M
