--- Writes the generated reference: `luajit scripts/gen_docs.lua [folder]` (default: the repository root).
--- Runs under lmfast and under plain luajit; a test compares its output with what is checked in.

local folder = arg and arg[1] or "."

if not package.loaded["lm.host"] and not pcall(require, "lm.host") then
  package.path = "lua/stdlib/?.lua;lua/stdlib/?/init.lua;" .. package.path
  package.loaded["lm.host"] = dofile("tests/lua/support/host.lua")
end

local files = require("lm.docgen").generate()
local paths = {}
for path in pairs(files) do paths[#paths + 1] = path end
table.sort(paths)

for _, path in ipairs(paths) do
  local full = folder .. "/" .. path
  os.execute(("mkdir -p '%s'"):format(full:match("^(.*)/")))
  local file = assert(io.open(full, "wb"))
  assert(file:write(files[path]))
  assert(file:close())
  print("wrote " .. full)
end
