-- expect: Lua has no ++
i++
