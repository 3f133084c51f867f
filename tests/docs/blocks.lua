--- Runs the Lua blocks of a page as typed input: lmfast tests/docs/blocks.lua FILE.json, where the file holds a list of
--- `{code, line, norun}`. A block that fails is named on a line `FAILED n`, n being its line on the page.

local json = require("lm.json")
local session = require("lm.session")

local file = assert(io.open(arg[1], "rb"))
local blocks = json.decode(file:read("*a"))
file:close()

-- Pages may use `m` without loading it each time.
local model_loaded = false
local function prepare()
  if model_loaded then return end
  model_loaded = true
  session.run('m = require("lmfast").load "smollm2"')
end

local function compiles(code)
  local ok = loadstring(code) or loadstring("return " .. code)
  if not ok then io.stderr:write(select(2, loadstring(code)), "\n") end
  return ok ~= nil
end

for _, block in ipairs(blocks) do
  local ok
  if block.norun then
    ok = compiles(block.code)
  else
    prepare()
    ok = session.run(block.code)
  end
  if not ok then print("FAILED " .. block.line) end
end
