--- Suggestions for messages of the Lua compiler and of Lua's run-time errors: what the person probably meant.
--- Rows are tried in order; `message` and `line` are Lua patterns, either may be missing.

local text = require("lm.text")

local M = {}

local compile_rows = {
  { line = "\226\128[\152-\159]", hint = [[typographic quotes came from a document; use " or ']] },
  { line = "\194\160", message = "unexpected symbol", hint = "there is a non-breaking space; replace it by a space" },
  { line = "!=", message = "near '!'", hint = "\"not equal\" is written ~=" },
  { message = "near '!'", hint = "\"not\" is written not, \"not equal\" ~=" },
  { line = "&&", message = "near '&'", hint = "\"and\" is written and" },
  { line = "||", message = "near '|'", hint = "\"or\" is written or" },
  { line = "%+%+", message = "near", hint = "write x = x + 1; Lua has no ++" },
  { line = "[%w_%]]%s*[%+%*/%%%^%-]=[^=]", message = "near '=?'?", hint = "write x = x + 1; Lua has no +=" },
  { line = "%.%.=", hint = "write s = s .. t; Lua has no ..=" },
  { line = "<%s*const%s*>", hint = "<const> and <close> belong to Lua 5.4; leave them out" },
  { line = "<%s*close%s*>", hint = "<const> and <close> belong to Lua 5.4; leave them out" },
  { line = "else%s+if", message = "'end' expected", hint = "elseif is one word; \"else if\" needs an end of its own" },
  { line = "^%s*elif", hint = "\"else if\" is written elseif" },
  { line = "^%s*if.-[^=~<>]=[^=]", message = "'then' expected near '='", hint = "comparing is written ==" },
  { line = "^%s*while.-[^=~<>]=[^=]", message = "'do' expected near '='", hint = "comparing is written ==" },
  { line = "^%s*def%s", hint = "a function is written: function name(a, b) ... end" },
  { line = "^%s*import%s", hint = "a module is loaded with: local name = require \"name\"" },
  { line = "^%s*from%s.*import", hint = "a module is loaded with: local name = require \"name\"" },
  { line = "^%s*const%s", hint = "a variable is written: local name = value" },
  { line = "^%s*let%s", hint = "a variable is written: local name = value" },
  { line = "^%s*var%s", hint = "a variable is written: local name = value" },
  { line = "^%s*try", message = "near", hint = "errors are caught with: local ok, err = pcall(f, ...)" },
  { line = "^%s*continue%s*$", hint = "Lua has no continue; use goto continue with ::continue:: before the end" },
  { line = "=>", hint = "a function value is written: function(x) return x end" },
  { line = "^%s*/%a", message = "near '/'", hint = "commands start with a colon: :help lists them" },
  { line = "//", message = "near '/'", hint = "comments start with --; whole division is math.floor(a / b)" },
  { line = "[%w_%)]%s*%?", message = "near '?'", hint = "a choice is written: condition and a or b" },
  { line = "#", message = "near '#'", hint = "comments start with --" },
  { line = "[=%(,]%s*%[[^%[=]", message = "near '%['", hint = "lists are written {1, 2, 3}" },
  { line = "f[\"']", message = "near", hint = "values are put into text with (\"%d items\"):format(n)" },
  { message = "'then' expected", hint = "an if needs then: if x then ... end" },
  { message = "'do' expected", hint = "for and while need do: for i = 1, 3 do ... end" },
  { message = "'<eof>' expected near 'end'", hint = "there is one end too many" },
  { message = "'<eof>' expected near '[%)%]}]'", hint = "there is one closing bracket too many" },
  { message = "unexpected symbol near '[%)%]}]'",
    hint = "a bracket closes here that was not opened, or a value is missing" },
  { message = "'end' expected", hint = "a block is not closed; every function, if, for, while and do needs an end" },
  { message = "'[%)}%]]' expected", hint = "a bracket is not closed, or a comma is missing before this place" },
  { message = "unfinished string", hint = "the string has no closing quote on its line; [[...]] may span lines" },
  { message = "cannot use '%.%.%.'", hint = "the function needs ... in its parameter list" },
  { message = "ambiguous syntax", hint = "put the opening parenthesis on the line of the function's name" },
  { message = "'=' expected near '[\"%a_]", line = "^%s*print%s", hint = "a call needs parentheses: print(x)" },
  { message = "'=' expected", hint = "a statement is an assignment or a call; did you forget ( ) or a comma?" },
}

local function first_match(rows, message, line)
  for _, row in ipairs(rows) do
    if (not row.message or message:find(row.message)) and (not row.line or line:find(row.line)) then return row.hint end
  end
end

local function line_of(source, number)
  return text.lines(source)[number] or source
end

--- Suggests how to mend code that does not compile.
--- @param message string  of the compiler
--- @param source string  the code
--- @return string? hint
function M.compile(message, source)
  local number = tonumber(message:match(":(%d+):")) or 1
  return first_match(compile_rows, message, line_of(source, number))
end

local run_rows = {
  { line = "%[%s*0%s*%]", message = "attempt to index", hint = "lists start at 1 in Lua" },
  { line = "%+", message = "arithmetic on .*a string value", hint = "texts are joined with .." },
  { line = "[\"']%s*%+", message = "arithmetic", hint = "texts are joined with .." },
  { message = "attempt to concatenate .*a nil value", hint = "tostring(x) makes any value a text" },
  { message = "attempt to concatenate .*a table value", hint = "lm.pretty(x) makes a table readable" },
  { message = "attempt to get length of .*a nil value", hint = "the variable is nil; print it first" },
  { message = "attempt to compare number with string", hint = "tonumber(s) makes a number from a text" },
  { message = "attempt to compare string with number", hint = "tonumber(s) makes a number from a text" },
}

local function near_member(message)
  local kind, name = message:match("attempt to call (%a+) '([%w_]+)' %(a nil value%)")
  if not name then return nil end
  local names = {}
  if kind == "field" then
    names = require("lm").names()
  elseif kind == "method" then
    for _, def in ipairs(require("lm.define").list()) do
      local method = def.name:match(":(.+)$")
      if method then names[#names + 1] = method end
    end
  end
  local near = text.nearest(name, names)
  return near and ("did you mean `%s`?"):format(near)
end

--- Suggests what may be behind a run-time error of Lua.
--- @param message string
--- @param line string  the source line, or ""
--- @return string? hint
function M.run(message, line)
  return near_member(message) or first_match(run_rows, message, line)
end

--- Explains names that contain what documents put into code; LuaJIT takes every non-ASCII byte for a letter.
--- @param name string
--- @return string? hint
function M.odd_name(name)
  if name:find("\226\128[\152-\159]") then return [[typographic quotes came from a document; use " or ']] end
  if name:find("\194\160") then return "there is a non-breaking space in it; replace it by a space" end
  local dash = name:find("\226\128[\147\148]") or name:find("\226\136\146")
  if dash then return "there is a typographic dash in it; use -" end
end

--- Words of other languages that people type here, and what Lua calls them.
M.foreign_words = {
  None = "nil", null = "nil", undefined = "nil", True = "true", False = "false", this = "self", len = "#t",
  elif = "elseif", import = "require", console = "print", printf = "print(string.format(...))", str = "tostring",
  int = "tonumber", float = "tonumber", range = "for i = 1, n do", exit = ":quit", quit = ":quit", help = "?",
}

return M
