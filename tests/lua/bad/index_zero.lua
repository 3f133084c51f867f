-- expect: lists start at 1
t = {} return t[0].x
