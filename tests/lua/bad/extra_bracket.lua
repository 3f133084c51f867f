-- expect: a bracket closes here that was not opened
f(1))
