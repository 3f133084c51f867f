-- expect: lists are written {1, 2, 3}
x = [1, 2]
