-- expect: did you mean `string`?
return strng.len("x")
