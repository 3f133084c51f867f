--- What a model is asked to continue: a text, token ids or messages, the same for every function that takes a prompt.

local engine = require("lm.engine.model")
local errors = require("lm.errors")
local json = require("lm.json")
local vision = require("lm.vision")

local M = {}

--- Schema fields: the three forms of a prompt, and what goes with messages.
M.fields = {
  { name = "prompt", type = "string|array", items = { type = "integer", min = 0 },
    doc = "text to continue, or token ids; special tokens in the text count as such" },
  { name = "ids", type = "array", items = { type = "integer", min = 0 }, doc = "the prompt as token ids" },
  { name = "messages", type = "array", items = { type = "table" },
    doc = "a conversation to answer, through the model's chat template: {role =, content =}, ...; content is a text, "
      .. 'or a list of {type = "text", text =} and, for models that see, {type = "image", path =}' },
  { name = "tools", type = "array", items = { type = "table" },
    doc = "with messages: functions that the template describes to the model, as JSON Schema" },
}

--- The rule across them, for a definition's `check`.
--- @param o table
--- @return string? problem
function M.check(o)
  local given = 0
  for _, name in ipairs({ "prompt", "ids", "messages" }) do given = given + (o[name] ~= nil and 1 or 0) end
  if o.tools and not o.messages then return "tools go with messages" end
  if given == 1 then return nil end
  return ("expected one of prompt, ids and messages, got %s"):format(given == 0 and "none" or given)
end

--- Returns the prompt fields followed by others.
--- @param fields table[]
--- @return table[]
function M.with(fields)
  local out = { unpack(M.fields) }
  for _, field in ipairs(fields) do out[#out + 1] = field end
  return out
end

--- Renders messages through the chat template and splits the text into tokens.
--- @param model userdata
--- @param messages table[]
--- @param tools? table[]
--- @return integer[] ids
--- @return userdata[] images  for `vision.show`
function M.of_messages(model, messages, tools)
  local rendered = engine.render(model, json.encode(messages), tools and json.encode(tools) or nil, true)
  local images
  rendered, images = vision.expand(model, messages, rendered)
  return engine.tokenize(model, rendered, false, true), images
end

--- Splits a text into tokens; an empty one becomes the token that begins texts.
--- @param model userdata
--- @param text string
--- @return integer[]
function M.of_text(model, text)
  local ids = engine.tokenize(model, text, true, true)
  if #ids == 0 then
    local info = engine.info(model)
    ids = { info.bos or info.eos[1] or 0 }
  end
  return ids
end

--- Returns the token ids that options stand for, and the pictures among them.
--- @param model userdata
--- @param o table  with one of prompt, ids, messages
--- @return integer[] ids
--- @return userdata[] images  for `vision.show`
function M.ids_and_images(model, o)
  if o.messages then return M.of_messages(model, o.messages, o.tools) end
  local ids = o.ids or o.prompt
  if type(ids) == "table" then return ids, {} end
  return M.of_text(model, ids), {}
end

--- The same for functions that take texts only.
--- @param model userdata
--- @param o table  with one of prompt, ids, messages
--- @return integer[]
function M.ids(model, o)
  local ids, images = M.ids_and_images(model, o)
  if #images > 0 then errors.raise("unsupported", "images work with generate, stream and conversations only") end
  return ids
end

return M
