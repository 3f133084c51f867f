-- expect: an if needs then
if x == 3 print(x) end
