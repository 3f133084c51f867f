--- Runs tests/lua/*_spec.lua: `luajit tests/lua/run.lua [--tags a,b] [--filter text] [--verbose] [file...]`.
--- Works from any folder, under lmfast (real lm.host) and under plain luajit (stand-in).

local root = (arg and arg[0] or ""):match("^(.*)tests/lua/run%.lua$") or ""

if not package.loaded["lm.host"] and not pcall(require, "lm.host") then
  package.path = ("%slua/stdlib/?.lua;%slua/stdlib/?/init.lua;"):format(root, root) .. package.path
  package.loaded["lm.host"] = dofile(root .. "tests/lua/support/host.lua")
end
package.path = ("%stests/lua/support/?.lua;"):format(root) .. package.path

local o, files = {}, {}
local i = 1
while arg[i] do
  local flag = arg[i]:match("^%-%-(%a+)$")
  if flag == "verbose" then
    o.verbose = true
  elseif flag then
    i = i + 1
    o[flag] = arg[i]
  else
    files[#files + 1] = arg[i]
  end
  i = i + 1
end

if #files == 0 then
  for _, folder in ipairs({ "tests/lua", "tests/lua/issues" }) do
    for _, entry in ipairs(require("lm.host").list_dir(root .. folder) or {}) do
      if entry.name:find("_spec%.lua$") then files[#files + 1] = root .. folder .. "/" .. entry.name end
    end
  end
  table.sort(files)
end

local spec = require("lm.spec")
local state = spec.new(o)
for _, path in ipairs(files) do spec.file(state, path) end
os.exit(spec.finish(state))
