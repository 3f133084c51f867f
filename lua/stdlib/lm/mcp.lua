--- The Model Context Protocol, both sides: the session's tools for other programs, other programs' tools here.

local define = require("lm.define")
local engine = require("lm.engine.mcp")
local json = require("lm.json")
local offer = require("lm.mcp_offer")

local M = {}

local oauth_fields = {
  { name = "authorization_servers", type = "array", items = { type = "string" }, required = true, min = 1,
    doc = "issuers of tokens that are trusted" },
  { name = "resource", type = "string", doc = "the server's address as clients know it",
    default_text = "host, port and path" },
  { name = "audience", type = "array", items = { type = "string" }, default = {},
    doc = "what tokens may be for", default_text = "resource" },
  { name = "scopes", type = "array", items = { type = "string" }, default = {},
    doc = "what tokens must allow for anything; tools may need more (lm.tool, scopes)" },
  { name = "scopes_supported", type = "array", items = { type = "string" },
    doc = "what the metadata says that one may ask for", default_text = "scopes" },
  { name = "jwks", type = "string|table", doc = "keys of signed tokens: where they are, or a JSON Web Key Set",
    default_text = "as the issuer's metadata says" },
  { name = "introspection", type = "table", fields = {
    { name = "url", type = "string", required = true, doc = "the endpoint" },
    { name = "client_id", type = "string", doc = "who this server is there" },
    { name = "client_secret", type = "string", doc = "and its secret" },
  }, doc = "ask the authorization server what each token says (RFC 7662)" },
  { name = "verify", type = "function",
    doc = "verify(token) -> {sub =, scope =, exp =, aud =, ...}, or nil and why not; instead of the other ways" },
}

local function check_serve(o)
  if (o.cert == nil) ~= (o.key == nil) then return "cert and key belong together" end
  if not o.oauth then return nil end
  if o.stdio then return "oauth is for HTTP; over stdio the environment says who asks" end
  if not o.oauth.resource and (o.port == 0 or o.host == "0.0.0.0" or o.host == "::") then
    return "oauth needs a port and a host that clients can ask, or oauth.resource: tokens are for an address"
  end
end

--- Serves the session's tools, resources and prompts over MCP, beside the prompt or a script's own work.
---
--- On a port it speaks Streamable HTTP at `/mcp` and the older HTTP+SSE at `/sse`, to this machine only unless `host`
--- says otherwise. With `stdio = true` it talks over standard input and output until the input ends, as desktop clients
--- start servers; everything that is printed goes to standard error then. Tools that are defined later, or anew, are
--- seen by connected clients at once.
--- ```lua norun
--- s = lm.mcp.serve{ port = 8808 }
--- s:stop()
--- ```
M.serve = define("lm.mcp.serve", {
  options = {
    { name = "port", type = "integer", min = 0, max = 65535, default = 0, doc = "TCP port; 0: a free one" },
    { name = "host", type = "string", default = "127.0.0.1", min = 1, doc = "address to listen at" },
    { name = "path", type = "string", default = "/mcp", min = 1, doc = "where messages go" },
    { name = "allowed_hosts", type = "array", default = {}, items = { type = "string" },
      doc = "further names that the Host header may have, against DNS rebinding" },
    { name = "allowed_origins", type = "array", default = {}, items = { type = "string" },
      doc = "web pages that may ask, values of Origin" },
    { name = "stdio", type = "boolean", default = false, doc = "talk over standard input and output instead" },
    { name = "name", type = "string", default = "lmfast", min = 1, doc = "the server's name" },
    { name = "title", type = "string", doc = "its name for people" },
    { name = "instructions", type = "string", doc = "what clients may tell their model about this server" },
    { name = "tools", type = "array", doc = "functions, names or tools", default_text = "all of the session's" },
    { name = "cert", type = "string", kind = "file", doc = "PEM file: speak TLS with this certificate" },
    { name = "key", type = "string", kind = "file", doc = "PEM file: its private key" },
    { name = "oauth", type = "table", fields = oauth_fields, default_text = "everybody who reaches it may ask",
      doc = "ask for tokens of OAuth 2.1, as its resource server (RFC 9728, RFC 6750)" },
    { name = "task_ttl", type = "number", above = 0, default = 3600, doc = "seconds that a task is kept" },
    { name = "model_tools", type = "boolean", default = true,
      doc = "offer the current model too: the tools generate and chat, and the resource model://info" },
  },
  returns = "lm.McpServing", check = check_serve,
}, function(o)
  if o.model_tools then require("lm.mcp_model").offer(o.tools) end
  local server = require("lm.mcp_server").new(o)
  if o.stdio then
    server.where = "stdio"
    engine.serve_stdio(server.handle)
    return server
  end
  local function where(port) return ("%s://%s:%d%s"):format(o.cert and "https" or "http", o.host, port, o.path) end
  if o.oauth then
    local tokens = require("lm.mcp_tokens").new(o.oauth, where(o.port))
    server.http, server.port = engine.serve_http(server.handle, o,
      { resource = tokens.o.resource, scopes = o.oauth.scopes, metadata = tokens:metadata(o.title or o.name) },
      function(question) engine.settle(question, json.encode(tokens:verdict(engine.token(question)))) end)
  else
    server.http, server.port = engine.serve_http(server.handle, o)
  end
  server.where = where(server.port)
  table.insert(require("lm.session").leave_hooks, function() return server.http and tostring(server) end)
  return server
end)

--- Offers a resource: a text, bytes, or a function that reads it. A URI with parts in braces is a template, whose
--- function gets the URI and the values.
--- ```lua
--- lm.mcp.resource{ uri = "notes://today", name = "Notes", text = "Buy milk." }
--- ```
M.resource = define("lm.mcp.resource", {
  options = {
    { name = "uri", type = "string", required = true, min = 1, doc = "its URI, or a template: db://{table}/{id}" },
    { name = "name", type = "string", required = true, min = 1, doc = "its name" },
    { name = "title", type = "string", doc = "its name for people" },
    { name = "doc", type = "string", doc = "what it is" },
    { name = "mime", type = "string", default = "text/plain", doc = "its MIME type" },
    { name = "text", type = "string", doc = "its text" },
    { name = "data", type = "string", doc = "its bytes" },
    { name = "read", type = "function", doc = "read(uri, variables) -> text, or bytes and true" },
    { name = "complete", type = "table", doc = "of a template: for each variable a list of values, or a function" },
  },
  check = offer.check_resource,
}, function(o) offer.add_resource(o) end)

--- Offers a prompt: a function that makes messages of arguments.
--- ```lua
--- lm.mcp.prompt{ name = "review", doc = "Reviews code.", arguments = {{ name = "code", required = true }},
---   run = function(a) return "Review this code:\n" .. a.code end }
--- ```
M.prompt = define("lm.mcp.prompt", {
  options = {
    { name = "name", type = "string", required = true, min = 1, doc = "its name" },
    { name = "title", type = "string", doc = "its name for people" },
    { name = "doc", type = "string", doc = "what it is for" },
    { name = "arguments", type = "array", default = {}, items = { type = "table", fields = {
      { name = "name", type = "string", required = true, doc = "the argument's name" },
      { name = "doc", type = "string", doc = "what it means" },
      { name = "required", type = "boolean", doc = "whether it must be given" },
      { name = "complete", type = "array|function", doc = "values for completion, or function(beginning, others)" },
    } }, doc = "its arguments" },
    { name = "run", type = "function", required = true,
      doc = "run(arguments) -> text, or a list of {role =, content =}" },
  },
}, function(o) offer.add_prompt(o) end)

--- Connects to a server: a command line that starts one, or its URL. What it offers is then `c.tools.name{...}`,
--- `c:resources()`, `c:read(uri)`, `c:prompts()`, `c:prompt(name, arguments)`.
--- ```lua norun
--- c = lm.mcp.connect "lmfast mcp tools.lua"
--- c.tools.add{ a = 1, b = 2 }
--- ```
M.connect = define("lm.mcp.connect", {
  positional = { "command" },
  options = {
    { name = "command", type = "string|array", required = true, min = 1, items = { type = "string" },
      doc = "the command line or its words, or a URL" },
    { name = "headers", type = "table", values = { type = "string" }, doc = "of requests to a URL: Authorization ..." },
    { name = "oauth", type = "table", default = {}, doc = "for servers at a URL that ask for authorization", fields = {
      { name = "client_id", type = "string", doc = "who lmfast is there, where that was agreed before" },
      { name = "client_secret", type = "string", doc = "and its secret" },
      { name = "client_metadata_url", type = "string", doc = "https address of a document that describes the client" },
      { name = "grant", type = "string", enum = { "authorization_code", "client_credentials" },
        default = "authorization_code", doc = "let a person decide, or only the client's secret" },
      { name = "scope", type = "string", doc = "what to ask for, where the server does not say" },
      { name = "redirect_uri", type = "string", doc = "where the browser comes back to, for authorize" },
      { name = "authorize", type = "function", doc = "authorize(url) -> the address that the browser came back to",
        default_text = "print the address and wait for the browser" },
      { name = "store", type = "string", kind = "file", doc = "file for tokens, which only you may read",
        default_text = "keep them while lmfast runs" },
      { name = "port", type = "integer", min = 0, max = 65535, default = 0, doc = "port to wait at for the browser" },
    } },
    { name = "timeout", type = "number", default = 60, above = 0, doc = "seconds that an answer may take" },
    { name = "on_sample", type = "function",
      doc = "asked for consent when the server wants the model to answer: on_sample(params) -> boolean",
      default_text = "refuse" },
    { name = "on_elicit", type = "function",
      doc = "asked when the server wants to know something: on_elicit(params) -> {action =, content =}",
      default_text = "decline" },
    { name = "roots", type = "array", items = { type = "string" }, default = {},
      doc = "folders that the server may know of" },
    { name = "on_log", type = "function", doc = "called with log messages {level, logger, data}" },
    { name = "on_change", type = "function", doc = "called with \"tools\", \"resources\" or \"prompts\" on changes" },
    { name = "on_update", type = "function", doc = "called with the URI of a resource that has changed" },
    { name = "model", type = "userdata|string", class = "lm.Model", kind = "model",
      doc = "the model that answers for the server", default_text = "the current model" },
  },
  returns = "lm.McpConnection",
}, function(o) return require("lm.mcp_client").connect(o) end)

--- Marks a list of content blocks as the result of a tool, for images and the like.
--- @param blocks table[]
--- @return table
function M.content(blocks) return require("lm.mcp_server").content(blocks) end

--- In a tool that an MCP client called: asks the client's model, its user, or for its folders, or writes to its log.
--- Nil elsewhere. `principal` is who asks, where the server wants tokens: {subject, client, scopes, claims}.
--- @return table? context  {ask(method, params), log(level, data, logger), principal}
function M.context() return (require("lm.tool_call").context() or {}).mcp end

local clients = {
  claude = { file = "claude_desktop_config.json", key = "mcpServers" },
  ["claude-code"] = { file = ".mcp.json", key = "mcpServers" },
  cursor = { file = ".cursor/mcp.json", key = "mcpServers" },
  vscode = { file = ".vscode/mcp.json", key = "servers" },
}

--- Writes what to put into a client's configuration: claude, claude-code, cursor or vscode.
--- ```lua
--- lm.mcp.config("claude", { script = "tools.lua" })
--- ```
M.config = define("lm.mcp.config", {
  positional = { "client" },
  options = {
    { name = "client", type = "string", required = true, enum = { "claude", "claude-code", "cursor", "vscode" },
      doc = "the client" },
    { name = "script", type = "string", kind = "file", doc = "the script that defines the tools" },
    { name = "name", type = "string", default = "lmfast", min = 1, doc = "the server's name there" },
  },
  returns = "string",
}, function(o)
  local client, words = clients[o.client], json.array{ "mcp" }
  if o.script then words[2] = o.script end
  local entry = json.object({ command = "lmfast", args = words }, { "command", "args" })
  return ("%s:\n%s"):format(client.file, json.encode({ [client.key] = { [o.name] = entry } }, 2))
end)

return M
