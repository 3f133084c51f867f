-- luacheck: no max line length
-- What the official conformance suite wants of a client (@modelcontextprotocol/conformance). Usage:
--   npx @modelcontextprotocol/conformance client --requirements 2026-07-28 \
--     --command "lmfast tests/mcp/conformance_client.lua"
local lm = require("lmfast")
local json = require("lm.json")

local url = arg[1]
local scenario = os.getenv("MCP_CONFORMANCE_SCENARIO") or ""
local context = json.decode(os.getenv("MCP_CONFORMANCE_CONTEXT") or "") or {}

-- A value that fits the schema of a property.
local function example(schema)
  if schema.const ~= nil then return schema.const end
  if schema.default ~= nil then return schema.default end
  if schema.enum then return schema.enum[1] end
  if schema.type == "integer" or schema.type == "number" then return 42 end
  if schema.type == "boolean" then return true end
  if schema.type == "array" then return json.array() end
  if schema.type == "object" then return json.object({}, {}) end
  return "test"
end

local function example_arguments(schema)
  local arguments = {}
  for name, property in pairs(schema.properties or {}) do arguments[name] = example(property) end
  return arguments
end

local c = lm.mcp.connect(url, {
  timeout = 20, roots = { "/tmp" },
  oauth = { client_id = context.client_id, client_secret = context.client_secret,
    client_metadata_url = "https://conformance-test.local/client-metadata.json",
    grant = scenario == "auth/client-credentials-basic" and "client_credentials" or nil,
    redirect_uri = "http://localhost:3000/callback",
    authorize = function(address) return require("lm.http").request(address).headers.location end },
  on_sample = function() return true end,
  on_elicit = function(params)
    local content = {}
    for name, property in pairs((params.requestedSchema or {}).properties or {}) do
      if property.default == nil then content[name] = example(property) end
    end
    return { action = "accept", content = content }
  end,
})

local calls = {
  tools_call = { { "add_numbers", { a = 5, b = 3 } } },
}
for _, call in ipairs(context.toolCalls or {}) do
  calls[scenario] = calls[scenario] or {}
  table.insert(calls[scenario], { call.name, call.arguments })
end

local tools = c.tools
if scenario == "json-schema-2020-12-preservation" then
  local echo
  for _, tool in ipairs(tools) do echo = tool.name:find("echo") and tool.name or echo end
  for _, tool in ipairs(tools) do
    if tool.name ~= echo then c:call(echo, { schema = tool.params }) end
  end
elseif calls[scenario] then
  for _, call in ipairs(calls[scenario]) do pcall(c.call, c, call[1], call[2]) end
else
  for _, tool in ipairs(tools) do pcall(c.call, c, tool.name, example_arguments(tool.params)) end
end
if c.capabilities.prompts then
  for _, prompt in ipairs(c:prompts()) do pcall(c.prompt, c, prompt.name, {}) end
end
if c.capabilities.resources then
  for _, resource in ipairs(c:resources()) do pcall(c.read, c, resource.uri) end
end
c:close()
