--- What an MCP server offers: the session's tools, and resources and prompts; as the entries of the protocol's lists.

local json = require("lm.json")
local text = require("lm.text")
local tools = require("lm.tool")

local M = {}

-- In the order they were made; by URI or name.
local resources, templates, prompts = {}, {}, {}

--- Functions called without arguments after resources or prompts have changed.
M.on_change = {}

local function changed()
  for _, listener in ipairs(M.on_change) do listener() end
end

local function put(list, entry, key)
  for i, other in ipairs(list) do
    if other[key] == entry[key] then
      list[i] = entry
      return entry
    end
  end
  list[#list + 1] = entry
  return entry
end

-- Names as all clients take them: letters, digits, _ and -, at most 48; a suffix keeps different names apart.
local function wire_name(name, taken)
  local safe = name:gsub("[^%w_-]", "_"):sub(1, 48)
  if taken[safe] then
    local sum = 0
    for i = 1, #name do sum = (sum * 31 + name:byte(i)) % 65536 end
    safe = ("%s_%04x"):format(safe:sub(1, 43), sum)
  end
  taken[safe] = true
  return safe
end

-- Results of other types than objects stand in a member `result`, since older revisions know only objects.
function M.result_schema(tool)
  if not tool.returns then return nil, false end
  if tool.returns.type == "object" then return tool.returns, false end
  return { type = "object", properties = { result = tool.returns }, required = json.array{ "result" } }, true
end

local tool_keys = { "name", "title", "description", "inputSchema", "outputSchema", "annotations" }

--- The tools that are offered, by their names on the wire.
--- @param only? table[]  these instead of all of the session's
--- @return table by_name
--- @return table entries
function M.tools(only)
  local by_name, entries, taken = {}, json.array(), {}
  for i, tool in ipairs(only and tools.resolve(only) or tools.tools()) do
    local name = wire_name(tool.name, taken)
    by_name[name] = tool
    local schema = M.result_schema(tool)
    entries[i] = json.object({ name = name, title = tool.title or (name ~= tool.name and tool.name or nil),
      description = tool.doc ~= "" and tool.doc or nil, inputSchema = tool.params, outputSchema = schema,
      annotations = tool.annotations }, tool_keys)
  end
  return by_name, entries
end

local function entry_of(o, keys)
  local entry = {}
  for lua_name, wire in pairs(keys) do entry[wire] = o[lua_name] end
  return entry
end

--- Adds a resource: `uri` with `text`, `data` (bytes) or `read`; a URI with `{name}` parts is a template.
--- @param o table
function M.add_resource(o)
  local kind = o.uri:find("{", 1, true) and templates or resources
  put(kind, o, "uri")
  changed()
end

--- Adds a prompt.
--- @param o table
function M.add_prompt(o)
  put(prompts, o, "name")
  changed()
end

--- The lists of resources, templates and prompts.
--- @return table lists
function M.lists()
  local lists = { resources = json.array(), resourceTemplates = json.array(), prompts = json.array() }
  local common = { name = "name", title = "title", doc = "description", mime = "mimeType" }
  for i, o in ipairs(resources) do
    lists.resources[i] = entry_of(o, common)
    lists.resources[i].uri = o.uri
  end
  for i, o in ipairs(templates) do
    lists.resourceTemplates[i] = entry_of(o, common)
    lists.resourceTemplates[i].uriTemplate = o.uri
  end
  for i, o in ipairs(prompts) do
    local arguments = json.array()
    for k, a in ipairs(o.arguments or {}) do
      arguments[k] = { name = a.name, description = a.doc, required = a.required or false }
    end
    lists.prompts[i] = { name = o.name, title = o.title, description = o.doc, arguments = arguments }
  end
  return lists
end

-- "a/{x}/b" as a Lua pattern and the names in it.
local function pattern_of(template)
  local names = {}
  local pattern = template:gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0"):gsub("{([%w_]+)}", function(name)
    names[#names + 1] = name
    return "([^/]+)"
  end)
  return "^" .. pattern .. "$", names
end

--- Finds what answers for a URI.
--- @param uri string
--- @return table? resource
--- @return table? variables  of the template
function M.find_resource(uri)
  for _, o in ipairs(resources) do
    if o.uri == uri then return o, {} end
  end
  for _, o in ipairs(templates) do
    local pattern, names = pattern_of(o.uri)
    local found = { uri:match(pattern) }
    if #found > 0 then
      local variables = {}
      for i, name in ipairs(names) do variables[name] = found[i] end
      return o, variables
    end
  end
end

--- Finds a prompt.
--- @param name string
--- @return table? prompt
function M.find_prompt(name)
  for _, o in ipairs(prompts) do
    if o.name == name then return o end
  end
end

--- Finds a template by its own text, for completion.
--- @param uri string
--- @return table? resource
function M.find_template(uri)
  for _, o in ipairs(templates) do
    if o.uri == uri then return o end
  end
end

--- Raises for a resource without content.
--- @param o table
--- @return string? problem
function M.check_resource(o)
  local given = (o.text and 1 or 0) + (o.data and 1 or 0) + (o.read and 1 or 0)
  if given == 1 then return nil end
  return ("expected one of text, data and read, got %d of them for %s"):format(given, text.quote(o.uri))
end

return M
