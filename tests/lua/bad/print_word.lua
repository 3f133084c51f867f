-- expect: a call needs parentheses
print x
