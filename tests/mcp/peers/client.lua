-- lmfast as client of another's server with a tool `echo`: client.lua URL | COMMAND ARGUMENT...
local lm = require("lmfast")

local c = lm.mcp.connect{ arg[1]:find("^http") and arg[1] or { unpack(arg) }, timeout = 20,
  on_elicit = function() return { action = "decline" } end }
for i = 1, 3 do
  local said = c.tools.echo{ message = "hi " .. i }
  assert(tostring(said):find("hi " .. i, 1, true), tostring(said))
end
local resources, prompts = pcall(c.resources, c) and #c:resources() or 0, pcall(c.prompts, c) and #c:prompts() or 0
if resources > 0 then c:read(c:resources()[1].uri) end
local fine = pcall(c.call, c, "echo", { message = 1 })
local version, tools = c.version, #c.tools
c:close()
print(("%s: %d tools, echo three times, %d resources, %d prompts%s"):format(version, tools, resources, prompts,
  fine and "" or ", bad arguments refused"))
