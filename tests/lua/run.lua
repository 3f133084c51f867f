--- Runs tests/lua/*_spec.lua: `luajit tests/lua/run.lua [--tags a,b] [--filter text] [--verbose] [file...]`.
--- Works from any folder, under lmfast (real lm.host) and under plain luajit (stand-in).

local root = (arg and arg[0] or ""):match("^(.*)tests/lua/run%.lua$") or ""

if not package.loaded["lm.host"] and not pcall(require, "lm.host") then
  package.path = ("%slua/stdlib/?.lua;%slua/stdlib/?/init.lua;%slua/?.lua;"):format(root, root, root) .. package.path
  package.loaded["lm.host"] = dofile(root .. "tests/lua/support/host.lua")
end

-- Without file names: all specs.
local function has_files()
  for _, word in ipairs(arg) do
    if word:find("%.lua$") then return true end
  end
  return false
end

local argv = { unpack(arg) }
if not has_files() then
  local files = {}
  for _, folder in ipairs({ "tests/lua", "tests/lua/issues" }) do
    for _, entry in ipairs(require("lm.host").list_dir(root .. folder) or {}) do
      if entry.name:find("_spec%.lua$") then files[#files + 1] = root .. folder .. "/" .. entry.name end
    end
  end
  table.sort(files)
  for _, path in ipairs(files) do argv[#argv + 1] = path end
end

os.exit(require("lm.spec").main(argv))
