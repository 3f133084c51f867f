-- expect: <const> and <close> belong to Lua 5.4
local x <const> = 1
