-- expect: no closing quote
x = "abc
