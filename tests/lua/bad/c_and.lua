-- expect: "and" is written and
if a && b then end
