--- What an MCP server offers beside the session's own tools: the current model. It is loaded when first asked.

local offer = require("lm.mcp_offer")
local tools = require("lm.tool")

local M = {}

local function model() return require("lm.model").of(nil) end

--- Adds the tools generate and chat and the resource model://info.
--- @param only? table[]  when only these tools are offered, they stay the only ones
function M.offer(only)
  offer.add_resource{ uri = "model://info", name = "model", doc = "The loaded model.", mime = "application/json",
    read = function()
      local info = model():info()
      local plain = {}
      for key, value in pairs(info) do
        if type(value) ~= "table" and type(value) ~= "function" then plain[key] = value end
      end
      return plain
    end }
  if only then return end
  local limit = { type = "integer", minimum = 1, maximum = 8192, description = "tokens to produce at most" }
  local temperature = { type = "number", minimum = 0, maximum = 2, description = "0 always gives the likeliest answer" }
  if not tools.find("chat") then
    tools.tool{ name = "chat", doc = "Asks the local language model.", timeout = 600,
      params = { type = "object", required = { "message" }, additionalProperties = false, properties = {
        message = { type = "string", description = "what the user says" },
        system = { type = "string", description = "instructions" }, max_tokens = limit, temperature = temperature } },
      run = function(o)
        return require("lmfast").chat{ content = o.message, system = o.system, max_tokens = o.max_tokens,
          temperature = o.temperature }
      end }
  end
  if not tools.find("generate") then
    tools.tool{ name = "generate", doc = "Continues a text with the local language model.", timeout = 600,
      params = { type = "object", required = { "prompt" }, additionalProperties = false, properties = {
        prompt = { type = "string", description = "the text to continue" }, max_tokens = limit,
        temperature = temperature } },
      run = function(o)
        return model():generate{ prompt = o.prompt, max_tokens = o.max_tokens, temperature = o.temperature }.text
      end }
  end
end

--- Runs a script that defines tools and serves over standard input and output: `lmfast mcp [script.lua]`.
--- @param script? string
--- @param args string[]
--- @return integer exit_code
function M.main(script, args)
  require("lm.engine.mcp").claim_stdout()
  if script and script ~= "" then
    local file, message = io.open(script, "rb")
    if not file then
      io.stderr:write(("lmfast mcp: %s\n"):format(message))
      return 2
    end
    local source = file:read("*a")
    file:close()
    local code = require("lm.session").script(source, "@" .. script, args)
    if code ~= 0 then return code end
  end
  require("lm.mcp").serve{ stdio = true }
  return 0
end

return M
