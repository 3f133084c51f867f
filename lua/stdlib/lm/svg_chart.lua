--- Line charts as SVG, for pages that need nothing but themselves.

local M = {}

local WIDTH, HEIGHT = 720, 220
local LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 28
local MOST_POINTS = 600

--- Writes text so that HTML and SVG show it as it is.
--- @param s any
--- @return string
function M.escape(s)
  return (tostring(s):gsub("[&<>\"]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }))
end

local function finite(v) return type(v) == "number" and v == v and v > -math.huge and v < math.huge end

-- Means over equal stretches, so that a long run stays a small page.
local function thinned(points)
  if #points <= MOST_POINTS then return points end
  local out = {}
  for c = 1, MOST_POINTS do
    local from, to = math.floor((c - 1) * #points / MOST_POINTS) + 1, math.floor(c * #points / MOST_POINTS)
    local x, y = 0, 0
    for i = from, to do x, y = x + points[i][1], y + points[i][2] end
    local n = to - from + 1
    out[c] = { x / n, y / n }
  end
  return out
end

--- Returns round numbers that span a range, about `count` of them.
--- @param low number
--- @param high number
--- @param count integer
--- @return number[]
function M.ticks(low, high, count)
  local raw = (high - low) / count
  local unit = 10 ^ math.floor(math.log10(raw))
  local step = 10 * unit
  for _, factor in ipairs({ 1, 2, 5 }) do
    if factor * unit >= raw then
      step = factor * unit
      break
    end
  end
  local out = {}
  for i = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) do out[#out + 1] = i * step + 0 end
  return out
end

local function label(v)
  if v ~= 0 and (math.abs(v) < 1e-3 or math.abs(v) >= 1e6) then return ("%.2g"):format(v):gsub("e([+-])0*", "e%1") end
  return ("%.6g"):format(v)
end

local function range(series, axis, lows)
  local low, high = math.huge, -math.huge
  for _, line in ipairs(series) do
    for _, point in ipairs(line.points) do low, high = math.min(low, point[axis]), math.max(high, point[axis]) end
  end
  low = math.min(low, lows or low)
  if low > high then return nil end
  local around = low == high and (low == 0 and 1 or math.abs(low) / 10) or 0
  return low - around, high + around
end

local function polyline(line, x_of, y_of)
  local at = {}
  for i, point in ipairs(line.points) do at[i] = ("%.1f,%.1f"):format(x_of(point[1]), y_of(point[2])) end
  local dots = {}
  if line.dots then
    for i, point in ipairs(line.points) do
      dots[i] = ('<circle class="%s" cx="%.1f" cy="%.1f" r="3"/>'):format(line.class, x_of(point[1]), y_of(point[2]))
    end
  end
  return ('<polyline class="%s" points="%s"/>%s'):format(line.class, table.concat(at, " "), table.concat(dots))
end

--- Draws lines over a common x axis; points that are no finite numbers are left out.
--- @param series table[]  `{class=, points={{x, y}, ...}, dots=boolean}`; the class gives the color
--- @param o {from_zero: boolean?}  the y axis begins at 0
--- @return string? svg  nil without points
function M.lines(series, o)
  local shown = {}
  for _, line in ipairs(series) do
    local points = {}
    for _, point in ipairs(line.points) do
      if finite(point[1]) and finite(point[2]) then points[#points + 1] = point end
    end
    shown[#shown + 1] = { class = line.class, dots = line.dots, points = thinned(points) }
  end
  local x0, x1 = range(shown, 1)
  local y0, y1 = range(shown, 2, o and o.from_zero and 0 or nil)
  if not x0 then return nil end
  local function x_of(x) return LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT) end
  local function y_of(y) return TOP + (y1 - y) / (y1 - y0) * (HEIGHT - TOP - BOTTOM) end
  local out = { ('<svg viewBox="0 0 %d %d" role="img">'):format(WIDTH, HEIGHT) }
  for _, tick in ipairs(M.ticks(y0, y1, 5)) do
    local y = y_of(tick)
    out[#out + 1] = ('<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>'):format(LEFT, WIDTH - RIGHT, y, y)
    out[#out + 1] = ('<text x="%d" y="%.1f" text-anchor="end">%s</text>'):format(LEFT - 6, y + 4, label(tick))
  end
  for _, tick in ipairs(M.ticks(x0, x1, 8)) do
    if tick == math.floor(tick) then
      out[#out + 1] = ('<text x="%.1f" y="%d" text-anchor="middle">%s</text>'):format(x_of(tick), HEIGHT - 8,
        label(tick))
    end
  end
  for _, line in ipairs(shown) do
    if #line.points > 0 then out[#out + 1] = polyline(line, x_of, y_of) end
  end
  out[#out + 1] = "</svg>"
  return table.concat(out, "\n")
end

return M
