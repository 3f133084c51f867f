--- Help on anything: `?name`, `??name`, `?word`, and the overview behind `?` alone.

local commands = require("lm.commands")
local define = require("lm.define")
local docstring = require("lm.docstring")
local env = require("lm.env")
local host = require("lm.host")
local members = require("lm.members")
local schema = require("lm.schema")
local sources = require("lm.sources")
local text = require("lm.text")

local M = {}

-- Apropos must know every function, so it loads the modules that nobody used yet.
local function load_all()
  for _, module in ipairs(host.stdlib_list()) do
    -- Recipes are programs, not parts of the library.
    if module:find("^lm") and not package.loaded[module] then pcall(require, module) end
  end
end

local function default_text(field)
  if field.default_text then return "default: " .. field.default_text end
  if field.default == nil then return nil end
  if type(field.default) == "table" and next(field.default) == nil then return "default: {}" end
  local shown = require("lm.pretty").format({ field.default }, { width = 60 })
  return "default: " .. shown:gsub("^{", ""):gsub("}$", "")
end

local function type_text(field)
  local shown = schema.expectation(field):gsub("^an? ", ""):gsub(" or an? ", " or ")
  return shown
end

local function field_lines(fields, out, indent, width)
  local name_width = 0
  for _, field in ipairs(fields) do
    if not field.deprecated then name_width = math.max(name_width, #field.name) end
  end
  for _, field in ipairs(fields) do
    if not field.deprecated then
      local notes = { type_text(field) }
      notes[#notes + 1] = field.required and "required" or default_text(field)
      local line = ("%s%s  %s"):format(indent, text.pad(field.name, name_width), table.concat(notes, "; "))
      local about = (" "):rep(#indent + name_width + 2)
      out[#out + 1] = line
      if field.doc then out[#out + 1] = about .. text.wrap(field.doc, width - #about, about) end
      if field.fields then field_lines(field.fields, out, indent .. "  ", width) end
    end
  end
end

-- Docstrings are Markdown; on a terminal a code block is indented instead of fenced.
local function readable(doc_text)
  local out, fenced = {}, false
  for _, line in ipairs(text.lines(doc_text)) do
    if line:find("^```") then
      fenced = not fenced
    else
      out[#out + 1] = fenced and "    " .. line or line
    end
  end
  return table.concat(out, "\n")
end

--- Explains a registered function.
--- @param def table
--- @return string
function M.of_definition(def)
  local doc, out, width = define.doc(def), { define.signature(def) }, host.columns()
  if doc.text ~= "" then out[#out + 1] = "\n" .. readable(doc.text) end
  local fields = def.args or def.options
  if #fields > 0 then
    out[#out + 1] = def.args and "\narguments" or "\noptions"
    field_lines(fields, out, "  ", width)
  end
  if def.returns then out[#out + 1] = "\nreturns " .. def.returns end
  out[#out + 1] = ("\ndefined at %s:%d; ??%s shows the source"):format(sources.display(def.source), def.line, def.name)
  return table.concat(out, "\n")
end

local function of_function(name, f)
  local doc = docstring.of(f)
  local info = debug.getinfo(f, "S")
  local out = { ("%s(%s)"):format(name, table.concat(docstring.parameters(f), ", ")) }
  if info.what == "C" then out[1] = name .. "(...)" end
  if doc then
    if doc.text ~= "" then out[#out + 1] = "\n" .. readable(doc.text) end
    if #doc.params > 0 then out[#out + 1] = "\narguments" end
    for _, param in ipairs(doc.params) do
      out[#out + 1] = ("  %s%s  %s  %s"):format(param.name, param.optional and "?" or "", param.type, param.doc)
    end
    for _, result in ipairs(doc.returns) do
      out[#out + 1] = ("\nreturns %s  %s"):format(result.type, result.doc)
    end
  elseif info.what == "C" then
    out[#out + 1] = "\nbuilt into Lua; see the Lua 5.1 reference manual"
  else
    out[#out + 1] = "\nno docstring; write --- lines above the function"
  end
  if info.what ~= "C" then
    local place = sources.display(info.source) .. ":" .. info.linedefined
    out[#out + 1] = ("\ndefined at %s; ??%s shows the source"):format(place, name)
  end
  return table.concat(out, "\n")
end

--- Reads "a.b.c" or "a:b" from the session without running code of the user's objects.
--- @param path string
--- @return any value
function M.resolve(path)
  local value
  for i, name in ipairs(M.split(path)) do
    if i == 1 then
      value = env.get(name)
    else
      value = members.field(value, name)
    end
    if value == nil then return nil end
  end
  return value
end

--- Splits a path at "." and ":".
--- @param path string
--- @return string[]
function M.split(path)
  local names = {}
  for name in path:gmatch("[^%.:]+") do names[#names + 1] = name end
  return names
end

-- Finds a definition by full name, by value, or by a method's bare name when only one class has it.
local function find_definition(topic)
  if topic:find("^lm%.") then pcall(function() return require("lm")[topic:match("^lm%.([%w_]+)")] end) end
  local def = define.get(topic)
  if def then return def end
  -- What the user made wins over a library function of the same name.
  local value = M.resolve(topic)
  if value ~= nil then return (define.get(value)), value end
  return define.get("lm." .. topic)
end

local function summary_of(def)
  return define.doc(def).summary
end

local function listing(rows)
  local width, out = 0, {}
  for _, row in ipairs(rows) do width = math.max(width, text.width(row[1])) end
  width = math.min(width, 36)
  for _, row in ipairs(rows) do
    out[#out + 1] = "  " .. text.clip(text.pad(row[1], width) .. "  " .. row[2], host.columns() - 2)
  end
  return table.concat(out, "\n")
end

-- Names and docs of a function's options, so that a search finds who takes them.
local function option_words(def)
  local words = {}
  for _, field in ipairs(def.args or def.options) do words[#words + 1] = field.name .. " " .. (field.doc or "") end
  return "\n" .. table.concat(words, "\n")
end

-- All names with one line each, including commands and recipes.
local function everything()
  load_all()
  local rows = {}
  for _, def in ipairs(define.list()) do
    if not def.internal then
      rows[#rows + 1] = { def.name, summary_of(def), define.doc(def).text .. option_words(def) }
    end
  end
  for _, command in ipairs(commands.list) do rows[#rows + 1] = { ":" .. command.name, command.doc, command.usage } end
  for _, recipe in ipairs(require("lm.recipe").summaries()) do
    rows[#rows + 1] = { "recipe " .. recipe.name, recipe.summary, "" }
  end
  return rows
end

--- Searches names and docs for a word; near matches of names come when nothing contains it.
--- @param word string
--- @return string
function M.apropos(word)
  local needle, by_name, by_doc, names, full = word:lower(), {}, {}, {}, {}
  for _, row in ipairs(everything()) do
    names[#names + 1] = row[1]
    local short = row[1]:match("([%w_]+)$")
    names[#names + 1], full[short] = short, full[short] or row[1]
    if row[1]:lower():find(needle, 1, true) then
      by_name[#by_name + 1] = row
    elseif (row[2] .. " " .. row[3]):lower():find(needle, 1, true) then
      by_doc[#by_doc + 1] = row
    end
  end
  for _, row in ipairs(by_doc) do by_name[#by_name + 1] = row end
  if #by_name > 0 then return ("names and docs with %s:\n"):format(text.quote(word)) .. listing(by_name) end
  local near = text.nearest(word, names)
  local rest = near and ("; near: %s"):format(full[near] or near) or "; ? shows an overview"
  return ("nothing found for %s%s"):format(text.quote(word), rest)
end

--- Writes the overview shown by `?` alone.
--- @return string
function M.overview()
  load_all()
  local functions, methods = {}, {}
  for _, def in ipairs(define.list()) do
    local list = def.class and methods or functions
    if not def.internal then list[#list + 1] = { def.name, summary_of(def) } end
  end
  local out = {
    "Type Lua; an expression prints its value. Tab completes, ?name explains, ?word searches, ??name shows source.",
    "", "functions", listing(functions),
  }
  if #methods > 0 then
    out[#out + 1] = "\nmethods\n" .. listing(methods)
  end
  out[#out + 1] = "\ncommands\n  :" .. table.concat(commands.names(), " :") .. "   $ shell"
  return table.concat(out, "\n")
end

-- The first sentence at the head of a library module.
local function module_summary(module)
  local source = module and host.stdlib_source(module)
  local line = source and source:match("^%-%-%- ?([^\n]*)")
  return line and line:match("^(.-%.)%s") or line
end

-- "lm" and other tables: what is in them, with a line each.
local function of_table(name, value)
  local rows = {}
  local names = value == require("lm") and value.names() or text.sorted_keys(value)
  for _, key in ipairs(names) do
    local ok, item = pcall(function() return value[key] end)
    local def = ok and (type(item) == "function") and define.get(item)
    local doc = ok and not def and type(item) == "function" and docstring.of(item)
    local about = def and summary_of(def) or doc and doc.summary
    local is_part = not about and ok and type(item) == "table" and value == require("lm")
    about = about or (is_part and module_summary("lm." .. key)) or (ok and type(item) or "not in this build")
    rows[#rows + 1] = { name .. "." .. key, about }
  end
  return listing(rows)
end

local function of_object(name, value)
  local rows = {}
  for _, member in ipairs(members.public(value)) do
    local def = type(member.value) == "function" and define.get(member.value)
    local separator = type(member.value) == "function" and ":" or "."
    rows[#rows + 1] = { name .. separator .. member.name, def and summary_of(def) or member.kind }
  end
  table.sort(rows, function(a, b) return a[1] < b[1] end)
  local shown = require("lm.pretty").format(value, { width = host.columns() })
  return #rows > 0 and shown .. "\n" .. listing(rows) or shown
end

local function of_value(topic, value)
  if type(value) == "function" then return of_function(topic, value) end
  local is_module = type(value) == "table" and (value == require("lm") or type(getmetatable(value)) ~= "table")
  if is_module and #text.sorted_keys(value) > 0 then return of_table(topic, value) end
  if type(value) == "table" or type(value) == "userdata" then return of_object(topic, value) end
  return ("%s is a %s: %s"):format(topic, type(value), require("lm.pretty").format(value, { width = 70 }))
end

-- The statement that starts at a line: grows line by line until it compiles.
local function statement_at(source, line)
  local all = text.lines(source)
  for last = line, math.min(#all, line + 400) do
    local code = table.concat(all, "\n", line, last)
    if loadstring(code) then return code end
  end
  return all[line]
end

--- Returns the source text of a function with its docstring.
--- @param topic string
--- @return string? source
--- @return string? place  file:line
function M.source_of(topic)
  local def, value = find_definition(topic)
  local source, line, code
  if def then
    source, line = sources.text(def.source), def.line
    code = source and statement_at(source, line)
  elseif type(value) == "function" then
    local info = debug.getinfo(value, "S")
    source, line = info.what ~= "C" and sources.text(info.source) or nil, info.linedefined
    code = source and sources.slice(source, line, info.lastlinedefined)
  end
  if not code then return nil end
  local comment = sources.comment_above(source, line)
  if comment then code = ("--- " .. comment:gsub("\n", "\n--- ")):gsub("%-%-%- \n", "---\n") .. "\n" .. code end
  local info_source = def and def.source or debug.getinfo(value, "S").source
  return code, sources.display(info_source) .. ":" .. line
end

--- Answers a question typed at the prompt.
--- @param topic string  empty for the overview
--- @param want_source? boolean  `??name`
--- @return string
function M.answer(topic, want_source)
  topic = text.trim(topic)
  if topic == "" then return M.overview() end
  if topic:find("^:") then return commands.help(topic) end
  if want_source then
    local code, place = M.source_of(topic)
    if code then return ("-- %s\n%s"):format(place, code) end
  end
  local def, value = find_definition(topic)
  if def then return M.of_definition(def) end
  local tools = package.loaded["lm.tool"]  -- known only once somebody made one
  if value == nil and tools and tools.find(topic) then return tools.explain(tools.find(topic)) end
  if value ~= nil then return of_value(topic, value) end
  local recipe = topic:match("^recipe%s+([%w_]+)$")
  if recipe then return require("lm.recipe").help(recipe) end
  return M.apropos(topic)
end

--- Explains a name or a value; the prompt's `?name` does the same.
M.help = define("lm.help", {
  args = { { name = "topic", type = "any", doc = "a name as a string, or a function; nothing: the overview" } },
  returns = "string",
}, function(topic)
  if type(topic) == "function" then
    local def = define.get(topic)
    return def and M.of_definition(def) or of_function("function", topic)
  elseif topic == nil then
    return M.overview()
  end
  return M.answer(type(topic) == "string" and topic or "lm")
end)

return M
