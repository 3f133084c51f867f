--- Recipes: runnable files with a header docstring, `options` and `run(o)`; `lmfast run name --option value`.

local define = require("lm.define")
local errors = require("lm.errors")
local flags = require("lm.flags")
local host = require("lm.host")
local json = require("lm.json")
local pretty = require("lm.pretty")
local report = require("lm.report")
local schema = require("lm.schema")
local sources = require("lm.sources")
local text = require("lm.text")

local M = {}

-- Recipes are modules named recipes.<name>; the executable carries them, development reads the folder.
local function source_of(name)
  local source, path = host.stdlib_source("recipes." .. name)
  if source then return source, path end
  for _, folder in ipairs({ "lua/recipes", (os.getenv("LMFAST_LUA_PATH") or ".") .. "/recipes" }) do
    path = ("%s/%s.lua"):format(folder, name)
    local file = io.open(path, "rb")
    if file then
      source = file:read("*a")
      file:close()
      return source, path
    end
  end
end

local function names()
  local seen = {}
  for _, module in ipairs(host.stdlib_list()) do
    local name = module:match("^recipes%.([%w_]+)$")
    if name then seen[name] = true end
  end
  for _, entry in ipairs(host.list_dir("lua/recipes") or {}) do
    local name = entry.name:match("^([%w_]+)%.lua$")
    if name then seen[name] = true end
  end
  return text.sorted_keys(seen)
end

M.names = names

-- The header docstring: the `---` lines at the top of the file, after a shebang line.
local function header(source)
  local lines = {}
  for _, line in ipairs(text.lines((source:gsub("^#[^\n]*\n", "", 1)))) do
    local body = line:match("^%-%-%- ?(.*)$")
    if not body then break end
    lines[#lines + 1] = body
  end
  return require("lm.docstring").parse(table.concat(lines, "\n"))
end

local function read_file(path)
  local file, message = io.open(path, "rb")
  if not file then errors.raise("io", "lmfast run: " .. message) end
  local source = file:read("*a")
  file:close()
  return source
end

local function find(name)
  if name:find("%.lua$") or name:find("/") then return read_file(name), name end
  local source, path = source_of(name)
  if source then return source, path end
  local near = text.nearest(name, names())
  local message = ("lmfast run: there is no recipe %s"):format(text.quote(name))
  if near then message = message .. (", did you mean %s?"):format(text.quote(near)) end
  errors.raise("not_found", message, { hint = "lmfast run lists the recipes", usage = true })
end

--- Loads a recipe by name or path.
--- @param name string
--- @return table recipe  `{name, doc, options, positional, check, run, path}`
function M.load(name)
  local source, path = find(name)
  local chunkname = "@" .. path
  sources.keep(path, source)
  local f, message = loadstring((source:gsub("^#[^\n]*", "", 1)), chunkname)
  if not f then errors.raise("bad_file", "lmfast run: " .. message) end
  local loaded = f()
  if type(loaded) ~= "table" or type(loaded.run) ~= "function" or type(loaded.options) ~= "table" then
    errors.raise("bad_file", ("lmfast run: %s is not a recipe; it must return a table with `options` and `run`"):format(
      path))
  end
  return {
    name = name:match("([^/]+)%.lua$") or name, path = path, doc = header(source), options = loaded.options,
    positional = loaded.positional or {}, check = loaded.check, run = loaded.run, module = loaded,
  }
end

--- Lists the recipes with the first sentence of their header.
--- @return table[] recipes  `{name, summary}`
function M.summaries()
  local list = {}
  for _, name in ipairs(names()) do
    local source = source_of(name)
    list[#list + 1] = { name = name, summary = source and header(source).summary or "" }
  end
  return list
end

--- Lists the recipes that `lmfast run` and `lm.run` know.
M.recipes = define("lm.recipes", { args = {}, returns = "table[]" }, function()
  return pretty.as_records(M.summaries(), { "name", "summary" }, "no recipes")
end)

--- Writes the `--help` text of a recipe.
--- @param name string
--- @return string
function M.help(name)
  local recipe = M.load(name)
  local usage = "lmfast run " .. name
  for _, value in ipairs(recipe.positional) do usage = usage .. " " .. value:upper() end
  local out = { ("usage: %s [options]"):format(usage), "", recipe.doc.text, "", "options" }
  out[#out + 1] = flags.help(recipe.options, host.columns())
  out[#out + 1] = "  --json\n      print the result as JSON"
  out[#out + 1] = "  --help\n      show this text"
  return table.concat(out, "\n")
end

--- Runs a recipe with an options table.
--- ```lua
--- lm.run("bench", { model = "smollm2", runs = 1 })
--- ```
M.run = define("lm.run", {
  args = {
    { name = "recipe", type = "string", min = 1, required = true, kind = "recipe", doc = "name or path" },
    { name = "options", type = "table", default = {}, doc = "the recipe's options" },
  },
  returns = "any",
}, function(name, options)
  local recipe = M.load(name)
  local complete, problems = schema.validate(recipe.options, options, recipe.check)
  if #problems > 0 then
    errors.raise("bad_option", schema.message("recipe " .. recipe.name, problems), { problems = problems })
  end
  return define.pass(recipe.run(complete))
end)

local function list_text()
  local rows = M.summaries()
  local out = { "usage: lmfast run RECIPE [options]     lmfast run RECIPE --help", "", "recipes" }
  local width = 0
  for _, row in ipairs(rows) do width = math.max(width, #row.name) end
  for _, row in ipairs(rows) do out[#out + 1] = "  " .. text.pad(row.name, width + 2) .. row.summary end
  return table.concat(out, "\n") .. "\n"
end

-- --json and --help belong to the runner, not to the recipe's schema.
local function take_own_flags(argv)
  local rest, own = {}, {}
  for _, word in ipairs(argv) do
    if word == "--json" or word == "--help" or word == "-h" then
      own[word == "-h" and "--help" or word] = true
    else
      rest[#rest + 1] = word
    end
  end
  return rest, own
end

local function print_result(result, as_json)
  if as_json then
    host.write(json.encode(result == nil and json.null or result, 2) .. "\n")
  elseif result ~= nil then
    host.write(pretty.format(result, { width = host.columns() }) .. "\n")
  end
end

local function run_recipe(name, argv)
  local rest, own = take_own_flags(argv)
  if own["--help"] then
    host.write(M.help(name) .. "\n")
    return 0
  end
  local recipe = M.load(name)
  local options, problems = flags.parse(recipe.options, rest, recipe)
  if #problems > 0 then
    local message = schema.message("lmfast run " .. name, problems)
    host.write_err(("error: %s\n  help: lmfast run %s --help\n"):format(message, name))
    return 2
  end
  print_result(recipe.run(options), own["--json"])
  return 0
end

--- Serves `lmfast run`.
--- @param name? string  recipe or path; nothing lists the recipes
--- @param argv? string[]
--- @return integer exit_code  0, 1 error, 2 bad usage, 130 interrupted
function M.main(name, argv)
  if not name or name == "" or name == "--help" or name == "-h" then
    host.write(list_text())
    return 0
  end
  local results, e = require("lm.evaluate").call(run_recipe, name, argv or {})
  if results then return results[1] end
  report.show_full(e)
  return errors.exit_code(e)
end

return M
