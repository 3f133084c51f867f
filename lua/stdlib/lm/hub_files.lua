--- Which files of a repository are the model: the ones to download, and the ones to load from a cache.

local errors = require("lm.errors")
local text = require("lm.text")

local M = {}

-- Beside the weights; "*" does not cross a folder.
local COMPANIONS = {
  "config.json", "generation_config.json", "tokenizer*.json", "tokenizer.model", "*.tiktoken", "tekken.json",
  "vocab.json", "vocab.txt", "merges.txt", "spiece.model", "special_tokens_map.json", "added_tokens.json",
  "chat_template.*", "additional_chat_templates/*.jinja", "preprocessor_config.json", "processor_config.json",
  "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "*_Pooling/config.json",
  "adapter_config.json", "rwkv_vocab_v20230424.txt", "LICENSE*", "NOTICE*",
}

--- Turns a shell pattern into a Lua pattern: "*", "?" and "[abc]".
--- @param glob string
--- @param across? boolean  "*" crosses "/" too, as in huggingface_hub's allow_patterns
--- @return string
function M.glob_pattern(glob, across)
  local pattern = glob:gsub("[%^%$%(%)%%%.%+%-]", "%%%0"):gsub("%*", across and ".*" or "[^/]*"):gsub("%?",
    across and "." or "[^/]")
  return "^" .. pattern .. "$"
end

local function matches(path, globs, across)
  for _, glob in ipairs(globs) do
    -- "folder/" means all that is in it.
    if glob:find("/$") then glob = glob .. "*" end
    local ok, found = pcall(string.find, path, M.glob_pattern(glob, across))
    if ok and found then return true end
  end
  return false
end

local function as_list(value)
  return type(value) == "string" and { value } or value
end

local function filter(files, keep)
  local out = {}
  for _, file in ipairs(files) do
    if keep(file) then out[#out + 1] = file end
  end
  return out
end

-- GGUF files as models: the parts of a split one count as one. Sorted by size.
local function gguf_models(files)
  local by_name, list = {}, {}
  for _, file in ipairs(files) do
    if file.path:find("%.gguf$") and not file.path:find("mmproj") and not file.path:find("imatrix") then
      local name = file.path:gsub("%-%d%d%d%d%d%-of%-%d%d%d%d%d%.gguf$", ".gguf")
      if not by_name[name] then
        by_name[name] = { name = name, bytes = 0, files = {} }
        list[#list + 1] = by_name[name]
      end
      local model = by_name[name]
      model.bytes = model.bytes + (file.bytes or 0)
      model.files[#model.files + 1] = file
    end
  end
  for _, model in ipairs(list) do
    table.sort(model.files, function(a, b) return a.path < b.path end)
  end
  table.sort(list, function(a, b) return a.bytes < b.bytes end)
  return list
end

-- "Q4_K" is in "m-Q4_K.gguf" and not in "m-Q4_K_M.gguf".
local function has_quant(name, quant)
  local stem = "-" .. name:lower():gsub("%.gguf$", "") .. "-"
  local escaped = quant:lower():gsub("[%.%-]", "%%%0")
  return stem:find("[%-%._/]" .. escaped .. "[%-%./]") ~= nil
end

local function list_text(models)
  local lines = {}
  for i, model in ipairs(models) do
    if i > 30 then
      lines[#lines + 1] = ("  ... and %d more"):format(#models - 30)
      break
    end
    lines[#lines + 1] = ("  %-60s %s"):format(model.name, text.bytes(model.bytes))
  end
  return table.concat(lines, "\n")
end

-- The last part of a file's name that looks like a weight type, for the example in a message.
local function quant_of(name)
  return name:match("([IT]?Q%d[%w_]*)%.gguf$") or name:match("([Ff]16)%.gguf$") or name:match("([Bb][Ff]16)%.gguf$")
end

local function choose_gguf(where, models, quant)
  local found = quant and filter(models, function(m) return has_quant(m.name, quant) end) or models
  if #found == 1 then return { files = found[1].files, main = found[1].files[1].path } end
  local what = #found == 0 and ("%s has no GGUF file %s; these are there:"):format(where.id, text.quote(quant))
    or ("%s has %d GGUF files; name one:"):format(where.id, #found)
  local shown = #found == 0 and models or found
  local example = quant_of(shown[math.ceil(#shown / 2)].name)
  errors.raise(#found == 0 and "not_found" or "bad_option",
    ("%s: %s\n%s"):format(where.caller, what, list_text(shown)),
    { help = where.caller,
      hint = ('%s "%s:%s", or include = "FILE"'):format(where.caller, where.id, example or "TYPE") })
end

local function weights(files)
  local names = {}
  for _, file in ipairs(files) do names[file.path] = file end
  local function all(glob)
    return filter(files, function(f) return matches(f.path, { glob }) end)
  end
  if names["model.safetensors.index.json"] then
    local list = all("model-*.safetensors")
    list[#list + 1] = names["model.safetensors.index.json"]
    return list
  end
  if names["model.safetensors"] then return { names["model.safetensors"] } end
  if names["adapter_model.safetensors"] then return { names["adapter_model.safetensors"] } end
  local own = filter(all("*.safetensors"), function(f) return not f.path:find("^consolidated") end)
  if #own > 0 then return own end
  if names["pytorch_model.bin.index.json"] then
    local list = all("pytorch_model-*.bin")
    list[#list + 1] = names["pytorch_model.bin.index.json"]
    return list
  end
  local torch = names["pytorch_model.bin"]
  return torch and { torch } or all("*.pth")
end

local function choose_folder(files, found)
  local chosen, seen = {}, {}
  for _, file in ipairs(found) do seen[file.path] = true end
  for _, file in ipairs(files) do
    if seen[file.path] or matches(file.path, COMPANIONS) then chosen[#chosen + 1] = file end
  end
  return { files = chosen }
end

local function choose_by_pattern(where, files, want)
  local include, exclude = as_list(want.include), as_list(want.exclude)
  local chosen = filter(files, function(f)
    return (not include or matches(f.path, include, true)) and not (exclude and matches(f.path, exclude, true))
  end)
  if #chosen == 0 then
    errors.raise("not_found", ("%s: no file of %s matches; it has %d files, such as %s"):format(where.caller, where.id,
      #files, text.quote(files[1] and files[1].path or "")), { help = where.caller })
  end
  local models = gguf_models(chosen)
  return { files = chosen, main = #models == 1 and models[1].files[1].path or nil }
end

--- Chooses the files of a model.
---
--- Without wishes: the weights that lmfast reads (safetensors, PyTorch files, a single GGUF) with what belongs to them.
--- Several GGUF files and no wish raise an error that lists them.
--- @param where table  id and caller, for messages
--- @param files table[]  path, bytes
--- @param want table  quant, include, exclude (shell patterns, or lists of them), format ("gguf" or "safetensors")
--- @return table chosen  files; `main`: the path of the one to load, when it is not the folder
function M.choose(where, files, want)
  if want.exclude and not want.include and not want.quant then
    local exclude = as_list(want.exclude)
    files = filter(files, function(f) return not matches(f.path, exclude, true) end)
  end
  if want.include then return choose_by_pattern(where, files, want) end
  local models = gguf_models(files)
  if want.quant or want.format == "gguf" then
    if #models > 0 then return choose_gguf(where, models, want.quant) end
    errors.raise("not_found", ("%s: %s has no GGUF files"):format(where.caller, where.id), { help = where.caller })
  end
  local found = weights(files)
  if #found > 0 then return choose_folder(files, found) end
  if #models > 0 and want.format ~= "safetensors" then return choose_gguf(where, models) end
  errors.raise("not_found", ("%s: %s has no weights that lmfast reads; expected .safetensors, .gguf or "
    .. "pytorch_model.bin"):format(where.caller, where.id),
    { help = where.caller, hint = 'include = "*" takes all files' })
end

return M
