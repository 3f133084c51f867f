-- expect: Lua has no +=
x += 1
