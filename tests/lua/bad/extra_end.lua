-- expect: one end too many
end
