--- Base64 (RFC 4648).

local M = {}

local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

--- Encodes bytes.
--- @param bytes string
--- @return string
function M.encode(bytes)
  local out = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local n = a * 65536 + (b or 0) * 256 + (c or 0)
    for k = 0, 3 do
      local at = math.floor(n / 64 ^ (3 - k)) % 64 + 1
      out[#out + 1] = (k == 2 and not b or k == 3 and not c) and "=" or letters:sub(at, at)
    end
  end
  return table.concat(out)
end

return M
