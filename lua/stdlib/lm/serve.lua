--- Serving models over HTTP beside the live prompt: OpenAI's, Anthropic's and Ollama's clients work against it.

local define = require("lm.define")
local engine = require("lm.engine.serve")
local errors = require("lm.errors")
local hooks = require("lm.serve_hooks")
local host = require("lm.host")
local json = require("lm.json")
local lm_load = require("lm.load_fields")
local text = require("lm.text")

local M = {}

local server_methods = {}
local server_meta = { __name = "lm.Server" }

-- Servers that run, so that one that nobody keeps is not collected.
local running = {}  -- luacheck: ignore 241

local function handle_of(self, name)
  if not self._handle then errors.raise("bad_option", ("%s: the server was stopped"):format(name)) end
  return self._handle
end

function server_meta.__tostring(s)
  if not s._handle then return "Server (stopped)" end
  return ("Server %s  %s"):format(s.url, table.concat(engine.names(s._handle), ", "))
end

-- Hooks may be replaced while requests run: srv.on_request = function ... end.
function server_meta.__index(s, key)
  if hooks.is_name(key) then return s._hooks[key] end
  return server_methods[key]
end

local function show_hooks(s)
  if s._handle then engine.set_hooks(s._handle, hooks.wanted(s._hooks)) end
end

function server_meta.__newindex(s, key, value)
  if not hooks.is_name(key) then
    errors.raise("bad_option", ("Server: %s cannot be set; hooks can: %s"):format(text.quote(tostring(key)),
      table.concat(hooks.names, ", ")))
  end
  hooks.check(key, value)
  s._hooks[key] = value
  show_hooks(s)
end

local name_field = { name = "name", type = "string", min = 1, doc = "what clients call the model",
  default_text = "the model's own name" }

-- What the engine needs to know of a model: a loaded one, or a name or path that is loaded on first use.
local function served(model, name, o)
  local entry = { name = name, context = o.context, idle_unload = o.idle_unload, precision = o.precision,
    kv_cache = o.kv_cache }
  if type(model) == "userdata" then
    entry.model = model
    entry.name = name or model:info().name
  else
    local path, known = require("lm.models").resolve(model)
    entry.path = path
    entry.name = name or known or path:match("([^/]+)/*$"):gsub("%.gguf$", "")
  end
  return entry
end

local function add(self, handle, model, name, o, replace)
  local entry = served(model, name, o)
  if not entry.idle_unload and entry.path then  -- what stays in memory is loaded now, so that mistakes show
    entry.model = require("lm.model").load({ model = model, precision = o.precision, kv_cache = o.kv_cache })
  end
  engine.add(handle, entry, replace)
  return self
end

local load_fields = {
  { name = "context", type = "integer", min = 1, max = 2 ^ 31, doc = "tokens that prompt and answer may take together",
    default_text = "what the model was made for" },
  { name = "idle_unload", type = "number", above = 0,
    doc = "seconds without a request after which a model that was given by name or path leaves the memory; it is then "
      .. "loaded on first use", default_text = "never" },
  lm_load.precision "of models given by name; see lm.load",
  lm_load.kv_cache "of models given by name; see lm.load",
}

local function with_load_fields(fields)
  for _, field in ipairs(load_fields) do fields[#fields + 1] = field end
  return fields
end

--- Adds a model while the server runs. `replace = true` takes the place of one of the same name; answers that run go on
--- with the old one.
--- ```lua norun
--- srv:add("gemma-3-270m", { name = "small" })
--- ```
server_methods.add = define("Server:add", {
  positional = { "model" },
  options = with_load_fields({
    { name = "model", type = "userdata|string", class = "lm.Model", kind = "model", required = true,
      doc = "a loaded model, or a name or path" },
    name_field,
    { name = "replace", type = "boolean", default = false, doc = "take the place of a model of this name" },
  }),
  returns = "lm.Server",
}, function(self, o)
  return add(self, handle_of(self, "Server:add"), o.model, o.name, o, o.replace)
end)

--- Takes a model away. Answers that run go on.
server_methods.remove = define("Server:remove", {
  positional = { "name" },
  options = { { name = "name", type = "string", required = true, doc = "one of `stats().models`" } },
  returns = "lm.Server",
}, function(self, o)
  engine.remove(handle_of(self, "Server:remove"), o.name)
  return self
end)

--- Tells what the server has done: `requests`, `running` and `waiting` now, `refused`, `cancelled`, and for each model
--- tokens and times.
--- ```lua norun
--- srv:stats().running
--- ```
server_methods.stats = define("Server:stats", { args = {}, returns = "table" }, function(self)
  local stats = json.decode(engine.stats(handle_of(self, "Server:stats")))
  stats.names = engine.names(self._handle)
  return stats
end)

--- Stops the server: it takes no more requests, lets those that run end, and cancels what has not ended after `drain`
--- seconds. The prompt is free again when all have ended.
server_methods.stop = define("Server:stop", {
  options = { { name = "drain", type = "number", min = 0, max = 86400, default = 10,
    doc = "seconds that requests have to end" } },
}, function(self, o)
  if not self._handle then return end
  engine.stop(self._handle, o.drain)
  rawset(self, "_handle", nil)
  running[self] = nil
end)

--- Answers requests until Ctrl-C or SIGTERM, then stops the server: what a script ends with.
--- ```lua norun
--- lm.serve{ model = "smollm2" }:wait()
--- ```
server_methods.wait = define("Server:wait", { args = {} }, function(self)
  handle_of(self, "Server:wait")
  engine.wait()
  self:stop()
end)

local announced = { url = "string", port = "number" }
for name, method in pairs(server_methods) do announced[name] = method end
server_meta.__complete = announced

local options = with_load_fields({
  { name = "model", type = "userdata|string", class = "lm.Model", kind = "model", doc = "the model to serve",
    default_text = "the current model, unless `models` names others" },
  name_field,
  { name = "models", type = "table", doc = "more models: name = model, or a list of names or paths" },
  { name = "host", type = "string", min = 1, default = "127.0.0.1",
    doc = "address to listen at; 0.0.0.0 is reachable from other machines" },
  { name = "port", type = "integer", min = 0, max = 65535, default = 8080, doc = "port to listen at; 0: a free one" },
  { name = "api_key", type = "string|array", items = { type = "string", min = 1 },
    doc = "keys that clients must show, one or several", default_text = "none is asked for" },
  { name = "cert", type = "string", kind = "file", doc = "certificate in PEM: TLS, with key" },
  { name = "key", type = "string", kind = "file", doc = "the certificate's key in PEM" },
  { name = "max_streams", type = "integer", min = 1, max = 4096, default = 32, doc = "requests answered at once" },
  { name = "queue", type = "integer", min = 0, max = 1e6, default = 256,
    doc = "requests that wait for their turn; more are answered 429" },
  { name = "requests_per_minute", type = "number", above = 0,
    doc = "of one key or address", default_text = "any number" },
  { name = "concurrent_requests", type = "integer", min = 1, max = 1e6,
    doc = "of one key or address at the same time", default_text = "any number" },
  { name = "max_connections", type = "integer", min = 1, max = 1e6, default = 1024, doc = "open connections" },
  { name = "max_body_bytes", type = "integer", min = 1024, max = 2 ^ 32, default = 32 * 2 ^ 20,
    doc = "bytes of a request's body" },
  { name = "max_header_bytes", type = "integer", min = 1024, max = 2 ^ 24, default = 65536,
    doc = "bytes of a request's headers" },
  { name = "header_timeout", type = "number", above = 0, default = 10, doc = "seconds for a request's headers" },
  { name = "request_timeout", type = "number", above = 0, default = 60, doc = "seconds for a whole request to arrive" },
  { name = "idle_timeout", type = "number", above = 0, default = 75, doc = "seconds a connection may wait" },
  { name = "write_timeout", type = "number", above = 0, default = 60, doc = "seconds a reader may take nothing" },
  { name = "allowed_hosts", type = "array", items = { type = "string" },
    doc = 'names that the Host header may have beside addresses and localhost; "*" is any. With an api_key all are' },
  { name = "allowed_origins", type = "array", items = { type = "string" },
    doc = 'web pages of other servers that may ask (CORS), e.g. "https://example.com"; "*" is all' },
  { name = "ignore_unknown_fields", type = "boolean", default = false,
    doc = "ignore fields of a request that no route knows, instead of refusing them" },
  { name = "state", type = "string", kind = "file",
    doc = "SQLite file that keeps responses, files and batches", default_text = "in memory" },
  { name = "router", type = "function|array",
    doc = "chooses the model: function(request) returning its name or nil, or rules {when =, model =}, the first that "
      .. "fits; `when` is a function(request) or a Lua pattern for the last text" },
  { name = "fallback", type = "string", doc = "name of the model that answers for names that are not served" },
  { name = "hook_timeout", type = "number", above = 0, default = 30,
    doc = "seconds that a request waits for a busy prompt to run a hook" },
  { name = "log", type = "boolean", default = true, doc = "show a line for each request" },
})
for _, field in ipairs(hooks.fields) do options[#options + 1] = field end

local function add_models(server, o)
  if o.model or not o.models then
    add(server, server._handle, o.model or require("lm.model").current(), o.name, o, false)
  end
  local rest = {}
  for name, model in pairs(o.models or {}) do
    if type(name) == "string" then rest[#rest + 1] = { name = name, model = model } end
  end
  table.sort(rest, function(a, b) return a.name < b.name end)
  for _, model in ipairs(o.models or {}) do rest[#rest + 1] = { model = model } end
  for _, row in ipairs(rest) do add(server, server._handle, row.model, row.name, o, false) end
end

local function start(o)
  local own = {}
  for _, name in ipairs(hooks.names) do own[name] = o[name] end
  local server = { _hooks = own }
  server._handle = engine.start(o, hooks.engine_side(own))
  server.port = engine.port(server._handle)
  local shown = o.host:find(":", 1, true) and "[" .. o.host .. "]" or o.host
  server.url = ("%s://%s:%d"):format(o.cert and "https" or "http", shown, server.port)
  setmetatable(server, server_meta)
  local ok, e = pcall(add_models, server, o)
  if not ok then
    engine.stop(server._handle, 0)
    error(e, 0)
  end
  running[server] = true
  show_hooks(server)
  engine.resume(server._handle)
  return server
end

--- Serves models over HTTP while the prompt stays live. Returns the server, which knows its `url`.
---
--- Clients of OpenAI use `url .. "/v1"`; docs/guide/serving.md shows the others. LoRA adapters of a model answer to
--- "name:adapter", all in one batch. Hooks see what comes and goes: `on_request(request)` may change `request.body` or
--- refuse it by returning `false, "reason"`; `on_token(piece, about)` returns nothing, another piece, or false to end
--- the answer; `on_response(response)` may change `response.text` of answers that are not streamed, or refuse them.
--- They can be replaced while the server runs: `srv.on_request = function(request) ... end`.
--- ```lua norun
--- srv = lm.serve{ model = "smollm2", port = 8080 }
--- srv:stats()
--- srv:stop()
--- ```
M.serve = define("lm.serve", { positional = { "model" }, options = options, check = hooks.check_options,
  returns = "lm.Server" }, function(o)
  local server = start(o)
  return server
end)

local function serve_until_interrupted(argv)
  local flags = require("lm.flags")
  if argv[1] == "--help" or argv[1] == "-h" then
    host.write("usage: lmfast serve [options]\n\nserves models over HTTP until Ctrl-C or SIGTERM\n\noptions\n"
      .. flags.help(options, host.columns()) .. "\n")
    return 0
  end
  local o, problems = flags.parse(options, argv, { positional = { "model" }, check = hooks.check_options })
  if #problems > 0 then
    host.write_err(("error: %s\n  help: lmfast serve --help\n"):format(
      require("lm.schema").message("lmfast serve", problems)))
    return 2
  end
  local server = start(o)
  host.write_err(tostring(server) .. "\n")
  engine.wait()
  host.write_err("ending: requests that run have 10 s\n")
  server:stop()
  return 0
end

--- Serves `lmfast serve`.
--- @param argv string[]
--- @return integer exit_code
function M.main(argv)
  local results, e = require("lm.evaluate").call(serve_until_interrupted, argv)
  if results then return results[1] end
  require("lm.report").show_full(e)
  return errors.exit_code(e)
end

return M
