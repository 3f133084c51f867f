--- Writes the generated reference: `lmfast scripts/gen_docs.lua [folder]` (default: the current folder, the
--- repository root). Needs lmfast itself, because the modules over the engine load only there. `lmfast test`
--- compares the output with what is checked in.

local folder = arg and arg[1] or "."

if not pcall(require, "lm.engine.model") then
  io.stderr:write("gen_docs: the engine's modules load in lmfast only; run: lmfast scripts/gen_docs.lua\n")
  os.exit(2)
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
