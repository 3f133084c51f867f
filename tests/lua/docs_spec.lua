local define = require("lm.define")
local host = require("lm.host")
local lint = require("lm.schema_lint")

local root = host.root or ""

local function read(path)
  local file = io.open(root .. path, "rb")
  if not file then return nil end
  local text = file:read("*a")
  file:close()
  return text
end

local function generated()
  local ok, files = pcall(require("lm.docgen").generate)
  if not ok then pending("needs the engine: " .. tostring(files):match("[^\n]*")) end
  return files
end

-- Every spec's text, to see which public functions no spec mentions.
local function all_specs()
  local parts = {}
  for _, entry in ipairs(host.list_dir(root .. "tests/lua")) do
    if entry.name:find("_spec%.lua$") then parts[#parts + 1] = read("tests/lua/" .. entry.name) end
  end
  return table.concat(parts, "\n")
end

describe("docs", function()
  it("are fresh: what is checked in equals what the schemas generate", function()
    local stale = {}
    for path, text in pairs(generated()) do
      if read(path) ~= text then stale[#stale + 1] = path end
    end
    table.sort(stale)
    assert.same({}, stale, "run scripts/gen_docs.lua")
  end)

  it("has a docstring and a documented schema for every public function", function()
    generated()
    local missing = {}
    for _, def in ipairs(define.list()) do
      if def.module and not def.internal then
        if define.doc(def).summary == "" then missing[#missing + 1] = def.name .. ": no docstring" end
        for _, problem in ipairs(lint.lint(def.args or def.options)) do
          missing[#missing + 1] = def.name .. ": " .. problem
        end
      end
    end
    assert.same({}, missing)
  end)

  it("has a test that names every public function", function()
    generated()
    local specs, missing = all_specs(), {}
    for _, def in ipairs(define.list()) do
      local short = def.name:match("[%w_]+$")
      local named = specs:find("[%.:]" .. short .. "%f[^%w_]") or specs:find(":" .. short .. "[ \"]")
      if def.module and not def.internal and not named then missing[#missing + 1] = def.name end
    end
    assert.same({}, missing, "no spec uses these")
  end)

  it("generates types that are valid Lua, and Markdown for each module", function()
    local files = generated()
    assert.truthy(loadstring(files["lua/lmfast.d.lua"]))
    assert.contains("function lm.Job:wait(timeout_s) end", files["lua/lmfast.d.lua"])
    assert.contains("| `timeout_s` | a number of at least 0 | no limit |", files["docs/reference/jobs.md"])
    assert.contains("`:time code`", files["docs/reference/commands.md"])
  end)

  it("writes option classes with nested ones, and overloads", function()
    local sample = require("sample")
    local out = {}
    require("lm.docgen").function_types(define.get(sample.train), out)
    local text = table.concat(out, "\n")
    assert.contains("---@class (exact) lm.SampleTrainOptionsLora", text)
    assert.contains('---@field precision? "fp32"|"bf16"|"fp16" number format', text)
    assert.contains("---@field model string|lm.Model model name or path", text)
    assert.contains("---@overload fun(model: string|lm.Model, o?: lm.SampleTrainOptions): table", text)
  end)

  it("keeps the FFI out of the standard library", function()
    for _, module in ipairs(host.stdlib_list()) do
      assert.falsy((host.stdlib_source(module) or ""):find("require%s*%(?%s*[\"']ffi[\"']"), module)
    end
  end)
end)
