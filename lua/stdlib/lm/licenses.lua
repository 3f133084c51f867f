--- Licences of models: which ones let anybody use the model for anything. Names are the Hub's (SPDX, lower case).

local M = {}

local open = {}
for name in ([[
  apache-2.0 mit mit-0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear isc zlib unlicense wtfpl 0bsd artistic-2.0
  cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 pddl odc-by cdla-permissive-1.0
  cdla-permissive-2.0 gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 agpl-3.0 mpl-2.0 epl-1.0 epl-2.0 eupl-1.1 eupl-1.2
  ecl-2.0 ms-pl ofl-1.1 postgresql ncsa osl-3.0 afl-3.0 bsl-1.0]]):gmatch("%S+") do
  open[name] = true
end

--- Tells whether a licence is an open one. An unstated licence is not.
--- @param name string?
--- @return boolean
function M.is_open(name)
  return name ~= nil and open[name:lower()] == true
end

return M
