-- expect: rows: required
return lm.table()
