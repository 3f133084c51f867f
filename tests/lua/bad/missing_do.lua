-- expect: for and while need do
for i = 1, 3 print(i) end
