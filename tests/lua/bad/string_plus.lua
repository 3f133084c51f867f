-- expect: texts are joined with ..
x = "a" + "b"
