-- expect: did you mean `result`
local job = {} job:resutl()
