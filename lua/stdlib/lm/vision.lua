--- Pictures: classes of one, and what language models see of those in a conversation.

local define = require("lm.define")
local engine = require("lm.engine.vision")
local errors = require("lm.errors")
local handles = require("lm.engine.model")

local M = {}

local methods = handles.model_methods

-- One for each model: it keeps its scratch memory between calls.
local encoders = setmetatable({}, { __mode = "k" })

local function encoder_of(model)
  local encoder = encoders[model]
  if not encoder then
    encoder = engine.encoder(model)
    encoders[model] = encoder
  end
  return encoder
end

-- What a model saw of the picture of a message part: {model, handle, prompt}; each turn of a conversation asks again.
local seen = setmetatable({}, { __mode = "k" })

local function see(model, part)
  local known = seen[part]
  if known and known.model == model and known.path == part.path then return known end
  if type(part.path) ~= "string" then
    errors.raise("bad_option", 'an image of a message has no path; expected {type = "image", path = "picture.png"}')
  end
  local handle, prompt = engine.see(encoder_of(model), part.path)
  seen[part] = { model = model, path = part.path, handle = handle, prompt = prompt }
  return seen[part]
end

--- Puts the pictures of messages in the place of their marks in a rendered prompt.
--- @param model userdata
--- @param messages table[]  `content` may be a list with parts `{type = "image", path =}`
--- @param rendered string  by the chat template
--- @return string rendered
--- @return userdata[] images  for `show`, in order
function M.expand(model, messages, rendered)
  local images, prompts = {}, {}
  for _, message in ipairs(messages) do
    for _, part in ipairs(type(message.content) == "table" and message.content or {}) do
      if type(part) == "table" and part.type == "image" then
        engine.image_token(model)  -- refuses models that read texts only
        local picture = see(model, part)
        images[#images + 1], prompts[#prompts + 1] = picture.handle, picture.prompt
      end
    end
  end
  if #images == 0 then return rendered, images end
  local mark, pieces, count, at = engine.image_token(model), {}, 0, 1
  while true do
    local first, last = rendered:find(mark, at, true)
    if not first then break end
    count = count + 1
    pieces[#pieces + 1] = rendered:sub(at, first - 1)
    pieces[#pieces + 1] = prompts[count] or mark
    at = last + 1
  end
  if count ~= #images then
    errors.raise("bad_option", ("the chat template wrote %s %d times for %d images; texts must not contain it"):format(
      mark, count, #images))
  end
  return table.concat(pieces) .. rendered:sub(at), images
end

--- Lets the image tokens of a context's next prompt stand for pictures.
--- @param context userdata
--- @param images userdata[]  from `expand`
function M.show(context, images)
  if #images > 0 then engine.show(context, images) end
end

--- Names what a picture shows: a list of `{label, score}`, most likely first. The scores add up to 1.
--- ```lua norun
--- m:classify{ image = "digit.png" }[1].label
--- ```
methods.classify = define("Model:classify", {
  positional = { "image" },
  options = {
    { name = "image", type = "string", required = true, doc = "a PNG or JPEG file" },
    { name = "top_n", type = "integer", min = 1, max = 2 ^ 31, doc = "return only this many", default_text = "all" },
  },
  returns = "table[]",
}, function(self, o)
  local scores, labels = engine.scores(encoder_of(self), o.image)
  local rows, most, sum = {}, -math.huge, 0
  for _, score in ipairs(scores) do most = math.max(most, score) end
  for i, score in ipairs(scores) do
    rows[i] = { label = labels[i] or tostring(i - 1), score = math.exp(score - most), place = i }
    sum = sum + rows[i].score
  end
  table.sort(rows, function(a, b)
    if a.score ~= b.score then return a.score > b.score end
    return a.place < b.place
  end)
  for i = #rows, (o.top_n or #rows) + 1, -1 do rows[i] = nil end
  for _, row in ipairs(rows) do row.score, row.place = row.score / sum, nil end
  return rows
end)

return M
