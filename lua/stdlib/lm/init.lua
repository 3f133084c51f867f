--- The root table `lm`. Modules load when one of their names is first used, so that the shell starts at once.

local host = require("lm.host")
local text = require("lm.text")

local M = {}

-- The one list of public names: module, then the names it provides. A name equal to the module's own last part and not
-- found in it stands for the whole module (lm.json). Modules that a build lacks are skipped by listings.
local public = {
  { "lm.shell", "time", "who", "reset", "reload", "edit", "source", "log", "mem", "quit", "pretty", "table" },
  { "lm.jobs", "jobs", "job", "start", "status_line" },
  { "lm.scope", "using" },
  { "lm.help", "help" },
  { "lm.json", "json" },
  { "lm.schema", "schema" },
  { "lm.define", "define" },
  { "lm.recipe", "recipes", "run" },
  { "lm.model", "load" },
  { "lm.generate", "generate" },
  { "lm.conversation", "chat" },
  { "lm.models", "models" },
  { "lm.pull", "pull" },
  { "lm.tokenizer", "tokenizer" },
  { "lm.template", "template" },
  { "lm.embed", "rerank" },
  { "lm.serve", "serve" },
  { "lm.constraint", "constraint" },
  { "lm.tool", "tool", "tools" },
  { "lm.agent", "agent" },
  { "lm.mcp", "mcp" },
  { "lm.remote", "remote" },
  { "lm.convert", "convert" },
  { "lm.doctor", "doctor" },
  { "lm.bench", "bench" },
  { "lm.plan", "plan" },
  { "lm.train", "train" },
  { "lm.pretrain", "pretrain" },
  { "lm.run_report", "report" },
}

local module_of = {}
for _, row in ipairs(public) do
  for i = 2, #row do module_of[row[i]] = row[1] end
end

--- The version of lmfast.
M.version = host.version

local installed

local function is_installed(module)
  if not installed then
    installed = {}
    for _, name in ipairs(host.stdlib_list()) do installed[name] = true end
  end
  return installed[module] or package.loaded[module] ~= nil
end

--- Lists the public names that this build provides.
--- @return string[] names  sorted
function M.names()
  local names = { version = true }
  for name, module in pairs(module_of) do
    if is_installed(module) then names[name] = true end
  end
  for name in next, M do names[name] = true end
  names.names, names.module_for = nil, nil
  return text.sorted_keys(names)
end

--- Returns the module that provides a public name.
--- @param name string
--- @return string? module
function M.module_for(name)
  return module_of[name]
end

local function load_module(name, module)
  local ok, loaded = pcall(require, module)
  if ok then return loaded end
  if type(loaded) == "string" and loaded:find("module '" .. module .. "' not found", 1, true) then
    require("lm.errors").raise("unsupported", ("lm.%s: this build has no module %s"):format(name, module))
  end
  error(loaded, 0)
end

local meta = { __name = "lm" }

function meta.__index(t, name)
  local module = module_of[name]
  if not module then return nil end
  local loaded = load_module(name, module)
  local value = loaded[name]
  if value == nil and module == "lm." .. name then value = loaded end
  rawset(t, name, value)
  return value
end

function meta.__tostring()
  return "lm: " .. table.concat(M.names(), " ") .. "\n?lm explains them"
end

-- Scripts, recipes and jobs say require "lmfast".
package.loaded["lmfast"] = M

return setmetatable(M, meta)
