--- Which models there are: the catalogue, and what lies on this machine.

local define = require("lm.define")
local errors = require("lm.errors")
local host = require("lm.host")
local text = require("lm.text")

local M = {}

local function env(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

--- Returns the folder of the models that lmfast fetched.
--- @return string
function M.folder()
  local cache = env("XDG_CACHE_HOME") or (env("HOME") or ".") .. "/.cache"
  return env("LMFAST_MODELS") or cache .. "/lmfast/models"
end

--- Tells whether a file can be opened.
--- @param path string
--- @return boolean
function M.exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local exists = M.exists

local function catalogue()
  return require("lm.catalogue")
end

local function size_of(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local size = file:seek("end")
  file:close()
  return size
end

-- Models in the folder that the catalogue does not know: .gguf files, and folders with a config.json.
local function others(known)
  local rows, folder = {}, M.folder()
  for _, entry in ipairs(host.list_dir(folder) or {}) do
    local path = folder .. "/" .. entry.name
    local is_model = entry.dir and exists(path .. "/config.json") or (not entry.dir and entry.name:match("%.gguf$"))
    if is_model and not known[entry.name] then
      rows[#rows + 1] = { name = entry.name, path = path, bytes = not entry.dir and size_of(path) or nil,
        on_machine = true }
    end
  end
  table.sort(rows, function(a, b) return a.name < b.name end)
  return rows
end

local function rows()
  local list, known = {}, {}
  for _, entry in ipairs(catalogue()) do
    local path = M.folder() .. "/" .. entry.file
    known[entry.file] = true
    list[#list + 1] = {
      name = entry.name, path = exists(path) and path or nil, bytes = entry.bytes, on_machine = exists(path),
      quantization = entry.quantization, license = entry.license, source = entry.source, doc = entry.doc,
    }
  end
  for _, row in ipairs(others(known)) do list[#list + 1] = row end
  return list
end

--- Lists the models known by name and those in the models folder, as records.
---
--- `on_machine` tells whether `lm.load(name)` can open it now; `path` where it is. The folder is
--- `$XDG_CACHE_HOME/lmfast/models`, or `$LMFAST_MODELS`.
--- ```lua
--- lm.models()[1].name
--- ```
M.models = define("lm.models", { args = {}, returns = "table[]" }, function()
  local pretty = require("lm.pretty")
  return pretty.as_records(rows(), { "name", "on_machine", "quantization", "bytes", "license" }, "no models")
end)

--- Lists names that `lm.load` accepts; completion uses it.
--- @return string[]
function M.names()
  local names = {}
  for _, row in ipairs(rows()) do names[#names + 1] = row.name end
  return names
end

-- The short names too, for suggestions.
local function all_names()
  local names = M.names()
  for _, entry in ipairs(catalogue()) do
    for _, alias in ipairs(entry.aliases or {}) do names[#names + 1] = alias end
  end
  return names
end

local function find_entry(name)
  local wanted = name:lower()
  for _, entry in ipairs(catalogue()) do
    if entry.name == wanted then return entry end
    for _, alias in ipairs(entry.aliases or {}) do
      if alias == wanted then return entry end
    end
  end
end

local function missing(entry)
  errors.raise("not_found", ("lm.load: %q is not on this machine; expected %s/%s"):format(entry.name, M.folder(),
    entry.file),
    { hint = "scripts/lmfast.sh fetches it", help = "lm.load" })
end

--- Finds the file or folder of a model: a catalogue name or alias, a path, or a name in the models folder.
--- @param name string
--- @return string path
--- @return string? known  the catalogue's name of the model
function M.resolve(name)
  local entry = find_entry(name)
  if entry then
    local path = M.folder() .. "/" .. entry.file
    return exists(path) and path or missing(entry), entry.name
  end
  local own = M.folder() .. "/" .. name
  if not name:find("/", 1, true) and not exists(name) and exists(own) then return own end
  if exists(name) then return name end
  local near = text.nearest(name, all_names())
  local hint = near and ("did you mean %q?"):format(near) or "lm.models() lists the names"
  errors.raise("not_found",
    ("lm.load: no model %s; expected a name, a .gguf file or a model folder"):format(text.quote(name)),
    { hint = hint, help = "lm.load" })
end

return M
