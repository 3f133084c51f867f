-- What the official conformance suite wants of a server (@modelcontextprotocol/conformance). Usage:
--   lmfast tests/mcp/conformance_server.lua --port 8808
--   npx @modelcontextprotocol/conformance server --url http://127.0.0.1:8808/mcp --requirements 2026-07-28
local host = require("lm.host")
local lm = require("lmfast")
local json = require("lm.json")
local tool_call = require("lm.tool_call")

local PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
local WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="

local function tool(name, run, properties, required)
  local params = { type = "object", properties = json.object(properties or {}, {}) }
  if required then params.required = json.array(required) end
  return lm.tool{ name = name, doc = "For the conformance suite.", params = params, run = run }
end

local function sleep(seconds)
  local deadline = host.now() + seconds
  while host.now() < deadline do host.pump() end
end

local function text(s) return { type = "text", text = s } end
local image = { type = "image", data = PNG, mimeType = "image/png" }
local function embedded(uri, mime, content)
  return { type = "resource", resource = { uri = uri, mimeType = mime, text = content } }
end

tool("test_simple_text", function() return "This is a simple text response for testing." end)
tool("test_image_content", function() return lm.mcp.content{ image } end)
tool("test_audio_content", function()
  return lm.mcp.content{ { type = "audio", data = WAV, mimeType = "audio/wav" } }
end)
tool("test_embedded_resource", function()
  return lm.mcp.content{ embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.") }
end)
tool("test_multiple_content_types", function()
  return lm.mcp.content{ text "Multiple content types test:", image,
    embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}') }
end)
tool("test_tool_with_logging", function()
  local c = lm.mcp.context()
  for _, line in ipairs({ "Tool execution started", "Tool processing data", "Tool execution completed" }) do
    c:log("info", line)
    sleep(0.05)
  end
  return "logged"
end)
tool("test_tool_with_progress", function()
  for _, percent in ipairs({ 0, 50, 100 }) do
    tool_call.progress(percent / 100)
    sleep(0.05)
  end
  return "done"
end)
tool("test_error_handling", function() error("This tool intentionally returns an error for testing", 0) end)
tool("test_logging_tool", function()
  lm.mcp.context():log("info", "a line")
  return "logged"
end)

local function elicit(message, properties, required, key)
  return lm.mcp.context():ask("elicitation/create", { message = message, requestedSchema = { type = "object",
    properties = properties, required = required and json.array(required) } }, key)
end
local string_field = { type = "string" }

local function told(answer)
  return ("Elicitation completed: action=%s, content=%s"):format(answer.action, json.encode(answer.content or {}))
end

tool("test_sampling", function(o)
  local answer = lm.mcp.context():ask("sampling/createMessage", { maxTokens = 100,
    messages = json.array{ { role = "user", content = text(o.prompt) } } })
  return "LLM response: " .. tostring(answer.content.text)
end, { prompt = string_field }, { "prompt" })
tool("test_elicitation", function(o)
  return told(elicit(o.message, { username = { type = "string", description = "User's response" },
    email = { type = "string", description = "User's email address" } }, { "username", "email" }))
end, { message = string_field }, { "message" })
tool("test_elicitation_sep1034_defaults", function()
  return told(elicit("Defaults", {
    name = { type = "string", default = "John Doe" }, age = { type = "integer", default = 30 },
    score = { type = "number", default = 95.5 }, verified = { type = "boolean", default = true },
    status = { type = "string", enum = json.array{ "active", "inactive", "pending" }, default = "active" } }))
end)
tool("test_elicitation_sep1330_enums", function()
  local options = json.array{ "option1", "option2", "option3" }
  local function titled(first)
    return json.array{ { const = "value1", title = first }, { const = "value2", title = "Second" },
      { const = "value3", title = "Third" } }
  end
  return told(elicit("Enums", {
    untitledSingle = { type = "string", enum = options },
    titledSingle = { type = "string", oneOf = titled("First Option") },
    legacyEnum = { type = "string", enum = json.array{ "opt1", "opt2", "opt3" },
      enumNames = json.array{ "Option One", "Option Two", "Option Three" } },
    untitledMulti = { type = "array", items = { type = "string", enum = options } },
    titledMulti = { type = "array", items = { anyOf = titled("First Choice") } } }))
end)
tool("test_missing_capability", function() return lm.mcp.context():ask("sampling/createMessage", { maxTokens = 10,
  messages = json.array{ { role = "user", content = text "Hi" } } }).content.text end)
tool("test_streaming_elicitation", function() return told(elicit("Name?", { name = string_field }, { "name" })) end)

local changes = 0
tool("test_trigger_tool_change", function()
  changes = changes + 1
  tool("test_changed_" .. changes, function() return "new" end)
  return "changed"
end)
tool("test_trigger_prompt_change", function()
  changes = changes + 1
  lm.mcp.prompt{ name = "test_changed_" .. changes, doc = "A new one.", run = function() return "new" end }
  return "changed"
end)

tool("test_input_required_result_elicitation", function()
  local answer = elicit("What is your name?", { name = string_field }, { "name" }, "user_name")
  return ("Hello, %s!"):format((answer.content or {}).name or "nobody")
end)
local capital = { method = "sampling/createMessage", params = { maxTokens = 100,
  messages = json.array{ { role = "user", content = text "What is the capital of France?" } } } }
tool("test_input_required_result_sampling", function()
  return lm.mcp.context():ask(capital.method, capital.params, "capital_question").content.text
end)
tool("test_input_required_result_list_roots", function()
  local names = {}
  for i, root in ipairs(lm.mcp.context():ask("roots/list", nil, "client_roots").roots) do names[i] = root.uri end
  return "Roots: " .. table.concat(names, ", ")
end)
tool("test_input_required_result_request_state", function()
  elicit("Please confirm", { ok = { type = "boolean" } }, { "ok" }, "confirm")
  return "state-ok"
end)
tool("test_input_required_result_tampered_state", function()
  elicit("Please confirm", { ok = { type = "boolean" } }, { "ok" }, "confirm")
  return "state-ok"
end)
tool("test_input_required_result_multiple_inputs", function()
  local schema = { type = "object", properties = { name = string_field }, required = json.array{ "name" } }
  lm.mcp.context():ask_all{
    user_name = { method = "elicitation/create",
      params = { message = "What is your name?", requestedSchema = schema } },
    greeting = { method = "sampling/createMessage", params = { maxTokens = 50,
      messages = json.array{ { role = "user", content = text "Generate a greeting" } } } },
    client_roots = { method = "roots/list" },
  }
  return "all answered"
end)
tool("test_input_required_result_multi_round", function()
  local name = elicit("Step 1: What is your name?", { name = string_field }, { "name" }, "step1")
  local color = elicit("Step 2: What is your favorite color?", { color = string_field }, { "color" }, "step2")
  return ("%s likes %s"):format((name.content or {}).name or "?", (color.content or {}).color or "?")
end)
tool("test_input_required_result_capabilities", function()
  local c, questions = lm.mcp.context(), {}
  if c.capabilities.sampling then questions.capital_question = capital end
  if c.capabilities.elicitation then
    questions.user_name = { method = "elicitation/create", params = { message = "Name?",
      requestedSchema = { type = "object", properties = { name = string_field } } } }
  end
  c:ask_all(questions)
  return "done"
end)

lm.tool{ name = "json_schema_2020_12_tool", doc = "Tool with JSON Schema 2020-12 features",
  params = json.decode[[{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","$defs":{"address":
    {"$anchor":"addressDef","type":"object","properties":{"street":{"type":"string"},"city":{"type":"string"}}}},
    "properties":{"name":{"type":"string"},"address":{"$ref":"#/$defs/address"},
    "contactMethod":{"type":"string","enum":["phone","email"]},"phone":{"type":"string"},"email":{"type":"string"}},
    "allOf":[{"anyOf":[{"required":["phone"]},{"required":["email"]}]}],
    "if":{"properties":{"contactMethod":{"const":"phone"}},"required":["contactMethod"]},
    "then":{"required":["phone"]},"else":{"required":["email"]},"additionalProperties":false}]],
  run = function() return "ok" end }
tool("test_headers", function(o) return o.region end, {
  region = { type = "string", ["x-mcp-header"] = "Region" },
  priority = { type = "integer", ["x-mcp-header"] = "Priority" },
  urgent = { type = "boolean", ["x-mcp-header"] = "Urgent" }, query = string_field }, { "region" })
tool("greet", function(o) return ("Hello, %s!"):format(o.name) end, { name = string_field }, { "name" })

-- The tasks extension.
local function task_tool(name, mode, run, properties, required)
  local params = { type = "object", properties = json.object(properties or {}, {}) }
  if required then params.required = json.array(required) end
  return lm.tool{ name = name, doc = "For the conformance suite.", params = params, run = run, task = mode,
    timeout = 120 }
end
local number_field = { type = "number" }
task_tool("slow_compute", "optional", function(o)
  lm.mcp.context().sleep(o.seconds)
  return "computed " .. tostring(o.label)
end, { seconds = number_field, label = string_field }, { "seconds" })
task_tool("failing_job", "required", function()
  lm.mcp.context().sleep(0.5)
  error("This job always fails", 0)
end)
task_tool("protocol_error_job", "optional", function()
  error({ rpc_code = -32603, message = "This job fails as a request" }, 0)
end)
task_tool("confirm_delete", "optional", function(o)
  local answer = elicit("Delete " .. o.filename .. "?", { confirm = { type = "boolean" } }, { "confirm" }, "confirm")
  return answer.action == "accept" and "deleted" or "kept"
end, { filename = string_field }, { "filename" })
task_tool("multi_input", "optional", function()
  local questions = {}
  for _, key in ipairs({ "name", "sure" }) do
    questions[key] = { method = "elicitation/create", params = { message = key, requestedSchema = { type = "object",
      properties = { [key] = { type = key == "name" and "string" or "boolean" } } } } }
  end
  lm.mcp.context():ask_all(questions)
  return "both answered"
end)
tool("test_tool_with_task", function()
  local c = lm.mcp.context()
  local answer = elicit("Name?", { name = string_field }, { "name" }, "user_name")
  c:as_task(true)
  c.sleep(0.2)
  return ("Done for %s"):format((answer.content or {}).name or "nobody")
end)

lm.mcp.resource{ uri = "test://static-text", name = "Static Text",
  text = "This is the content of the static text resource." }
lm.mcp.resource{ uri = "test://static-binary", name = "Static Binary", mime = "image/png", data = "\137PNG\r\n\26\n" }
lm.mcp.resource{ uri = "test://watched-resource", name = "Watched", text = "Watched." }
lm.mcp.resource{ uri = "test://template/{id}/data", name = "Template", mime = "application/json",
  read = function(_, v) return { id = v.id, templateTest = true, data = "Data for ID: " .. v.id } end }

lm.mcp.prompt{ name = "test_simple_prompt", doc = "A prompt.", run = function()
  return "This is a simple prompt for testing."
end }
lm.mcp.prompt{ name = "test_prompt_with_arguments", doc = "A prompt.", arguments = {
    { name = "arg1", required = true, doc = "First", complete = { "paris", "party" } },
    { name = "arg2", required = true, doc = "Second" } },
  run = function(a) return ("Prompt with arguments: arg1='%s', arg2='%s'"):format(a.arg1, a.arg2) end }
lm.mcp.prompt{ name = "test_prompt_with_embedded_resource", doc = "A prompt.",
  arguments = { { name = "resourceUri", required = true } }, run = function(a)
    return { { role = "user",
      content = embedded(a.resourceUri, "text/plain", "Embedded resource content for testing.") },
      { role = "user", content = "Please process the embedded resource above." } }
  end }
lm.mcp.prompt{ name = "test_prompt_with_image", doc = "A prompt.", run = function()
  return { { role = "user", content = image }, { role = "user", content = "Please analyze the image above." } }
end }
lm.mcp.prompt{ name = "test_input_required_result_prompt", doc = "A prompt.", run = function(_, context)
  local answer = context:ask("elicitation/create", { message = "What context should the prompt use?",
    requestedSchema = { type = "object", properties = { context = string_field },
      required = json.array{ "context" } } },
    "user_context")
  return "With context: " .. tostring((answer.content or {}).context)
end }

local port = 8808
for i, word in ipairs(arg) do
  if word == "--port" then port = tonumber(arg[i + 1]) end
end
local server = lm.mcp.serve{ port = port, name = "lmfast-conformance", model_tools = false }
print(server)
server:wait()
