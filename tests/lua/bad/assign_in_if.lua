-- expect: comparing is written ==
if x = 3 then end
