--- Chat templates: conversations to the text that a model was trained on.

local define = require("lm.define")
local engine = require("lm.engine.tokenizer")
local errors = require("lm.errors")
local json = require("lm.json")

local M = {}

local methods = engine.template_methods

-- bos_token and eos_token of the files that a template came from.
local tokens_of = setmetatable({}, { __mode = "k" })

function engine.template_meta.properties(template, name)
  if name == "source" then return engine.source(template) end
  if name == "bos_token" or name == "eos_token" then return (tokens_of[template] or {})[name] end
end

function engine.template_meta.__tostring(template)
  local ok, source = pcall(engine.source, template)
  if not ok then return "Template (freed)" end
  local _, newlines = source:gsub("\n", "")
  return ("Template  %d bytes, %d lines"):format(#source, newlines + 1)
end

-- A text is a template unless it can only be meant as a path.
local function is_path(text)
  if text:find("[{\n]") then return false end
  if text:find("%.gguf$") or text:find("%.jinja$") or text:find("%.json$") then return true end
  local file = io.open(text, "rb")
  if file then file:close() end
  return file ~= nil or text:find("^[^%s]*/[^%s]*$") ~= nil
end

local function read(o)
  if type(o.template) == "userdata" then return engine.template_of_model(o.template) end
  if is_path(o.template) then return engine.read_template(o.template, o.name) end
  return o.template, "", ""
end

--- Makes a chat template.
---
--- Accepts the template's text, a folder of a model, a tokenizer_config.json, a `.jinja` or `.gguf` file, or a loaded
--- model. The result knows its `source`.
--- ```lua
--- lm.template("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
---   :render{ messages = {{ role = "user", content = "Hi" }} }
--- ```
M.template = define("lm.template", {
  positional = { "template" },
  options = {
    { name = "template", type = "string|userdata", class = "lm.Model", required = true,
      doc = "text, file, folder or model" },
    { name = "name", type = "string", default = "default",
      doc = "which of several templates of a model: default, tool_use, rag ..." },
  },
  returns = "lm.Template",
}, function(o)
  local ok, source, bos, eos = pcall(read, o)
  local made
  if ok then
    ok, made = pcall(engine.template, source)
  else
    made = source
  end
  if not ok then
    if not errors.is(made) or made.code == "interrupted" then error(made, 0) end
    local message = made.message:gsub("^chat template: ", ""):gsub("^template: ", "")
    errors.raise(made.code, "lm.template: " .. message, { hint = made.hint, help = "lm.template" })
  end
  tokens_of[made] = { bos_token = bos, eos_token = eos }
  return made
end)

-- The order in which definitions of tools are written everywhere. Tables that were made in Lua have none of their own,
-- and models were trained on this one.
local tool_keys = { "type", "function", "name", "description", "parameters", "properties", "required", "enum", "items" }

local function order_tool(value, seen)
  if type(value) ~= "table" or seen[value] then return end
  seen[value] = true
  json.suggest_order(value, tool_keys)
  for _, member in pairs(value) do order_tool(member, seen) end
end

local function split_variables(template, variables)
  local extra = {}
  for name, value in pairs(variables) do extra[name] = value end
  local messages, tools, add = extra.messages, extra.tools, extra.add_generation_prompt
  local now = extra.now
  extra.messages, extra.tools, extra.add_generation_prompt = nil, nil, nil
  if type(now) == "number" then extra.now = nil end
  for name, value in pairs(tokens_of[template] or {}) do
    if extra[name] == nil then extra[name] = value end
  end
  if tools == json.null then tools = nil end
  order_tool(tools, {})
  return {
    messages = json.encode(messages == nil and json.array() or messages), tools = tools and json.encode(tools),
    add = add == true, extra = json.encode(extra), now = type(now) == "number" and now or nil,
  }
end

local function run(name, template, variables)
  if variables.messages ~= nil and type(variables.messages) ~= "table" then
    errors.raise("bad_option", ("%s: messages is a %s; expected a list of messages"):format(name,
      type(variables.messages)), { help = name })
  end
  local v = split_variables(template, variables)
  local ok, text, spans = pcall(engine.render, template, v.messages, v.tools, v.add, v.extra, v.now)
  if ok then return text, spans end
  local e = text
  if not errors.is(e) or e.code == "interrupted" then error(e, 0) end
  errors.raise(e.code, name .. ": " .. e.message, { hint = e.hint, help = name })
end

local variables_field = { name = "variables", type = "table", required = true,
  doc = "messages, tools, add_generation_prompt (default false), and whatever else the template looks at" }

--- Renders a conversation: `messages` is a list of `{role=, content=}`, `tools` a list of definitions,
--- `add_generation_prompt = true` ends with the beginning of an answer. All other fields are variables of the template
--- (enable_thinking, documents, bos_token ...); `now` (seconds since 1970, shown as UTC) is the time that
--- `strftime_now` shows.
--- ```lua
--- c = lm.template(lm.load "smollm2")
--- c:render{ messages = {{ role = "user", content = "Hi" }}, add_generation_prompt = true }
--- ```
methods.render = define("Template:render", { args = { variables_field }, returns = "string" },
  function(self, variables)
    local text = run("Template:render", self, variables)
    return text
  end)

--- Renders as `render` does and returns, after the text, what the template marks as said by the assistant
--- (`{% generation %}` blocks): a list of `{first, last}` positions of bytes in the text. Training on the assistant's
--- words alone needs these.
methods.render_spans = define("Template:render_spans", {
  args = { variables_field }, returns = "string, integer[][]",
}, function(self, variables)
  return run("Template:render_spans", self, variables)
end)

local announced = { source = "string", bos_token = "string", eos_token = "string" }
for name, method in pairs(methods) do announced[name] = method end
engine.template_meta.__complete = announced

return M
