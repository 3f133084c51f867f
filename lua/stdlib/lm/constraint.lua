--- What an answer must satisfy: a JSON Schema, a regular expression, a grammar or a list of choices.

local define = require("lm.define")
local engine = require("lm.engine.constraint")
local errors = require("lm.errors")
local json = require("lm.json")
local sampling = require("lm.sampling")
local tokenizers = require("lm.engine.tokenizer")

local M = {}

local methods = engine.methods

function engine.meta.__tostring() return "Constraint" end

local function kinds_in(o)
  local kinds = {}
  for _, field in ipairs(sampling.constraint_fields) do
    if o[field.name] ~= nil then kinds[#kinds + 1] = field.name end
  end
  return kinds
end

-- The engine's options; a table becomes JSON, a single trigger a list.
local function engine_options(o)
  local schema = o.schema
  if type(schema) == "table" then schema = json.encode(schema) end
  local triggers = o.trigger
  if type(triggers) == "string" then triggers = { triggers } end
  return {
    schema = schema, regex = o.regex, grammar = o.grammar, choices = o.choices, triggers = triggers,
    compact = o.whitespace == "compact", in_order = o.property_order == "schema",
  }
end

local function tokenizer_of(value)
  if value == nil or getmetatable(value).__name ~= "lm.Model" then return value end
  return tokenizers.of_model(value)
end

local function compile(o, tokenizer, name)
  local ok, made = pcall(engine.compile, engine_options(o), tokenizer)
  if ok then return made end
  if not errors.is(made) or made.code == "interrupted" then error(made, 0) end
  errors.raise(made.code, name .. ": " .. made.message:gsub("^constraint: ", ""),
    { hint = made.hint, help = "lm.constraint" })
end

--- Compiles a constraint: what a text must satisfy, and which tokens may come next so that it will.
---
--- `schema` is a JSON Schema (draft 2020-12, and what older drafts had in its place), as JSON or as a table. Keywords
--- that cannot be enforced are an error that names each with its path; what the standard calls an annotation, such as a
--- `format` that it does not define, is listed in `c.notes`. `regex` is matched by the whole text: the syntax that
--- ECMAScript, PCRE and Python share, with lookahead, without backreferences. `grammar` is llama.cpp's GBNF.
---
--- With `trigger` the text is free until one of these markers; what follows it must satisfy the constraint.
--- The result goes into `constraint` of every function that generates; without a tokenizer it only checks texts.
--- ```lua
--- c = lm.constraint{ regex = "[0-9]{4}-[0-9]{2}-[0-9]{2}" }
--- c:accepts "2026-01-31"
--- ```
M.constraint = define("lm.constraint", {
  options = {
    sampling.constraint_fields[1], sampling.constraint_fields[2], sampling.constraint_fields[3],
    sampling.constraint_fields[4],
    { name = "tokenizer", type = "userdata", doc = "a tokenizer or a model, for masks and generation" },
    { name = "whitespace", type = "string", enum = { "any", "compact" }, default = "any",
      doc = 'of JSON: any, or at most one space behind "," and ":"' },
    { name = "property_order", type = "string", enum = { "any", "schema" }, default = "any",
      doc = "of JSON objects: any, or that of the schema (tables have none: pass JSON)" },
    { name = "trigger", type = "string|array", min = 1, items = { type = "string", min = 1 },
      doc = "text or texts up to which everything is allowed" },
  },
  check = function(o)
    local kinds = kinds_in(o)
    if #kinds == 1 then return nil end
    return ("expected one of schema, regex, grammar and choices, got %s"):format(
      #kinds == 0 and "none" or table.concat(kinds, ", "))
  end,
  returns = "lm.Constraint",
}, function(o)
  return compile(o, tokenizer_of(o.tokenizer), "lm.constraint")
end)

--- Says whether a whole text satisfies the constraint.
methods.accepts = define("Constraint:accepts", {
  positional = { "text" },
  options = { { name = "text", type = "string", required = true, doc = "any bytes" } },
  returns = "boolean",
}, function(self, o)
  return engine.accepts(self, o.text)
end)

--- Lists the tokens that may come behind others, as ids in rising order; those that end a text are among them where it
--- may end. Raises an error when the tokens themselves are not allowed.
--- ```lua
--- c = lm.constraint{ choices = { "yes", "no" }, tokenizer = lm.load "smollm2" }
--- c:mask{}
--- ```
methods.mask = define("Constraint:mask", {
  positional = { "ids" },
  options = { { name = "ids", type = "array", default = {}, items = { type = "integer", min = 0 },
    doc = "the tokens of the text so far" } },
  returns = "integer[]",
}, function(self, o)
  return (engine.mask(self, o.ids))
end)

--- Lists what was taken note of but is not enforced.
methods.notes = define("Constraint:notes", { args = {}, returns = "string[]" }, function(self)
  return engine.notes(self)
end)

-- The last constraints of each model: an agent asks the same thing many times.
local compiled = setmetatable({}, { __mode = "k" })
local MAX_KEPT = 16

--- Returns what the options of a generation ask for, compiled for the model, or nil.
--- @param model userdata
--- @param o table
--- @return userdata?
function M.of_model(model, o)
  local kinds = kinds_in(o)
  if o.constraint and #kinds == 0 then return o.constraint end
  if #kinds == 0 then return nil end
  if #kinds > 1 or o.constraint then
    errors.raise("bad_option", ("generate: %s%s together; expected one of them"):format(table.concat(kinds, ", "),
      o.constraint and ", constraint" or ""), { help = "lm.constraint" })
  end
  local key = json.encode(engine_options(o))
  local kept = compiled[model] or { n = 0 }
  compiled[model] = kept
  if kept[key] then return kept[key] end
  local made = compile(o, tokenizers.of_model(model), "generate")
  if kept.n >= MAX_KEPT then
    kept = { n = 0 }
    compiled[model] = kept
  end
  kept[key], kept.n = made, kept.n + 1
  return made
end

--- Returns the answer to a schema as a value, or nil when there is none or it was cut off.
--- @param text string
--- @param o table
--- @return any
function M.value(text, o)
  if o.schema == nil then return nil end
  return (json.decode(text))
end

--- What a definition's `check` says about constraints beside a search.
--- @param o table
--- @return string? problem
function M.check_search(o)
  if #kinds_in(o) == 0 and not o.constraint then return nil end
  if o.num_beams > 1 or o.penalty_alpha > 0 then
    return "schema, regex, grammar, choices and constraint go with sampling, not with num_beams or penalty_alpha"
  end
end

return M
