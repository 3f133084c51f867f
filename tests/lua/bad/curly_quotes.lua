-- expect: typographic quotes
x = “hello”
