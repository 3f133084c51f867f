-- What the peers' clients use of lmfast. `lmfast mcp tools.lua`, or with a port: over HTTP.
local lm = require("lmfast")

lm.tool{ name = "add", doc = "Adds.", returns = { type = "number" }, run = function(a, b) return a + b end,
  params = { type = "object", required = { "a", "b" },
    properties = { a = { type = "number" }, b = { type = "number" } } } }
lm.tool{ name = "steps", doc = "Counts.", run = function(n)
  for i = 1, n do
    require("lm.tool_call").progress(i / n, "step " .. i)
    lm.mcp.context().sleep(0.02)  -- version 1 of the TypeScript SDK drops progress that comes together with the result
  end
  return "counted"
end, params = { type = "object", required = { "n" }, properties = { n = { type = "integer" } } } }
lm.mcp.resource{ uri = "notes://today", name = "Notes", text = "Buy milk." }
lm.mcp.prompt{ name = "review", arguments = { { name = "code", required = true } },
  run = function(a) return "Review this code:\n" .. a.code end }
if arg and tonumber(arg[1]) then lm.mcp.serve{ port = tonumber(arg[1]), model_tools = false }:wait() end
