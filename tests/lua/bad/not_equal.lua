-- expect: "not equal" is written ~=
if x != 3 then end
