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

local function engine()
  return require("lm.engine.hub")
end

-- The index of a sharded model names files; the model is whole when all are there.
local function has_all_shards(snapshot, names)
  for _, index in ipairs({ "model.safetensors.index.json", "pytorch_model.bin.index.json" }) do
    local file = names[index] and io.open(snapshot.folder .. "/" .. index, "rb")
    if file then
      local ok, decoded = pcall(require("lm.json").decode, file:read("*a"))
      file:close()
      for _, shard in pairs(ok and type(decoded) == "table" and decoded.weight_map or {}) do
        if not names[shard] then return false end
      end
    end
  end
  return true
end

-- The path of a repository's model in the cache of the Hub, or nil. Raises when several files could be meant.
local function cached_path(ref, caller)
  local snapshot = engine().cached(ref.id, ref.revision)
  if not snapshot or #snapshot.files == 0 then return nil end
  local names = {}
  for _, file in ipairs(snapshot.files) do names[file.path] = true end
  if not ref.quant and names["config.json"] and not has_all_shards(snapshot, names) then return nil end
  local where = { id = ref.id, caller = caller }
  local ok, chosen = pcall(require("lm.hub_files").choose, where, snapshot.files, { quant = ref.quant })
  if ok then return chosen.main and snapshot.folder .. "/" .. chosen.main or snapshot.folder end
  if errors.is(chosen) and chosen.code == "bad_option" then error(chosen, 0) end
end

--- Returns where a model of the catalogue lies on this machine, or nil: in the models folder or in the Hub's cache.
--- @param entry table
--- @return string?
function M.entry_path(entry)
  local path = M.folder() .. "/" .. (entry.file or entry.name)
  if exists(path) then return path end
  for _, source in ipairs(entry.sources) do
    local ref = type(source) == "string" and require("lm.model_name").parse(source)
    if ref and ref.kind == "hub" then
      local ok, cached = pcall(cached_path, ref, "lm.load")
      if ok and cached then return cached end
    end
  end
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

-- Repositories in the cache of the Hub that hold a model.
local function cached_repositories(known)
  local list = {}
  local ok, settings = pcall(engine().settings)
  for _, folder in ipairs(ok and host.list_dir(settings.cache) or {}) do
    local org, name = folder.name:match("^models%-%-(.-)%-%-(.+)$")
    local id = org and org .. "/" .. name
    local found, path = pcall(cached_path, { id = id or "", revision = "main" }, "lm.models")
    if id and not known[id] and (path ~= nil or not found) then
      list[#list + 1] = { name = id, path = found and path or nil, on_machine = true }
    end
  end
  return list
end

local function rows()
  local list, known = {}, {}
  for _, entry in ipairs(catalogue()) do
    local path = M.entry_path(entry)
    known[entry.file or entry.name] = true
    for _, source in ipairs(entry.sources) do
      if type(source) == "string" then known[source:match("^hub:([^@:]+)") or ""] = true end
    end
    list[#list + 1] = {
      name = entry.name, path = path, bytes = entry.bytes, on_machine = path ~= nil, family = entry.family,
      parameters = entry.parameters, quantization = entry.quantization, license = entry.license,
      context = entry.context, sampling = entry.sampling, sources = entry.sources, doc = entry.doc,
    }
  end
  for _, row in ipairs(others(known)) do list[#list + 1] = row end
  for _, row in ipairs(cached_repositories(known)) do list[#list + 1] = row end
  return list
end

--- Lists the models known by name, those in the models folder and those in the cache of the Hub, as records.
---
--- `on_machine` tells whether `lm.load(name)` can open it now, `path` where it is; `lm.pull(name)` fetches the others.
--- The folder is `$XDG_CACHE_HOME/lmfast/models`, or `$LMFAST_MODELS`.
--- ```lua
--- lm.models()[1].name
--- ```
M.models = define("lm.models", { args = {}, returns = "table[]" }, function()
  local pretty = require("lm.pretty")
  return pretty.as_records(rows(), { "name", "on_machine", "parameters", "bytes", "license" }, "no models")
end)

--- Lists names that `lm.load` accepts; completion uses it.
--- @return string[]
function M.names()
  local names = {}
  for _, row in ipairs(rows()) do names[#names + 1] = row.name end
  return names
end

--- Lists the names with the short ones, for suggestions.
--- @return string[]
function M.known_names()
  local names = M.names()
  for _, entry in ipairs(catalogue()) do
    for _, alias in ipairs(entry.aliases or {}) do names[#names + 1] = alias end
  end
  return names
end

--- Finds the catalogue's entry of a name or short name.
--- @param name string
--- @return table?
function M.find_entry(name)
  local wanted = name:lower()
  for _, entry in ipairs(catalogue()) do
    if entry.name == wanted then return entry end
    for _, alias in ipairs(entry.aliases or {}) do
      if alias == wanted then return entry end
    end
  end
end

local function missing(name)
  errors.raise("not_found", ("lm.load: %s is not on this machine"):format(text.quote(name)),
    { hint = ("lm.pull %s fetches it"):format(text.quote(name)), help = "lm.load" })
end

--- Finds the file or folder of a model: a catalogue name or alias, a path, a name in the models folder, or a repository
--- in the cache of the Hub (`org/name[@revision][:TYPE]`). Nothing is downloaded.
--- @param name string
--- @return string path
--- @return string? known  the catalogue's name of the model
function M.resolve(name)
  local entry = M.find_entry(name)
  if entry then return M.entry_path(entry) or missing(entry.name), entry.name end
  local own = M.folder() .. "/" .. name
  if not name:find("/", 1, true) and not exists(name) and exists(own) then return own end
  if exists(name) then return name end
  local ref = require("lm.model_name").parse(name)
  if ref.kind == "hub" then return cached_path(ref, "lm.load") or missing(name), name end
  local near = text.nearest(name, M.known_names())
  local hint = near and ("did you mean %q?"):format(near) or "lm.models() lists the names"
  errors.raise("not_found",
    ("lm.load: no model %s; expected a name, a .gguf file or a model folder"):format(text.quote(name)),
    { hint = hint, help = "lm.load" })
end

return M
