-- expect: function name(a, b)
def f(x)
