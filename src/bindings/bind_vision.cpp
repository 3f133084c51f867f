// The Lua module lm.engine.vision: what models see of pictures. The functions users see are Lua's,
// in lua/stdlib/lm/vision.lua.
#include <lua.hpp>

#include "bindings/arguments.h"
#include "bindings/bind.h"
#include "bindings/error_table.h"
#include "bindings/shared_handle.h"
#include "engine/api/generate.h"
#include "engine/api/vision.h"
#include "engine/formats/image.h"
#include "engine/models/model_spec.h"

namespace lm {
namespace {

constexpr const char* kEncoder = "lm.ImageEncoder";
constexpr const char* kImage = "lm.Image";

// What handles hold.
struct Encoder {
  std::shared_ptr<const Model> model;
  ImageEncoder encoder;
  explicit Encoder(std::shared_ptr<const Model> m) : model(m), encoder(std::move(m)) {}
};
struct SeenImage {
  std::vector<float> rows;
  std::string prompt;
};

// encoder(model) -> handle
int encoder(lua_State* L) {
  push_shared(L, kEncoder, std::make_shared<Encoder>(check_model(L, 1)), 4096);
  return 1;
}

// scores(encoder, path) -> list of the head's outputs, list of their names (may be empty)
int scores(lua_State* L) {
  const auto e = check_shared<Encoder>(L, 1, kEncoder);
  const PreparedImage image = prepare_image(*e->model, open_image(string_at(L, 2)));
  const auto values = e->encoder.scores(image.views.back());
  push_numbers(L, values.data(), values.size());
  const auto& labels = e->model->spec().head->labels;
  lua_createtable(L, static_cast<int>(labels.size()), 0);
  for (size_t i = 0; i < labels.size(); ++i) {
    push_string(L, labels[i]);
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return 2;
}

// see(encoder, path) -> image, the text that stands for it in a prompt
int see(lua_State* L) {
  const auto e = check_shared<Encoder>(L, 1, kEncoder);
  const PreparedImage image = prepare_image(*e->model, open_image(string_at(L, 2)));
  const auto seen = std::make_shared<SeenImage>();
  seen->prompt = image_prompt(*e->model, image);
  for (const auto& view : image.views) {
    const auto rows = e->encoder.rows(view);
    seen->rows.insert(seen->rows.end(), rows.begin(), rows.end());
  }
  push_shared(L, kImage, seen, seen->rows.size() * 4);
  push_string(L, seen->prompt);
  return 2;
}

// show(context, list of images): what the image tokens of the next prompt stand for
int show(lua_State* L) {
  const auto c = check_shared<Context>(L, 1, kContext);
  luaL_checktype(L, 2, LUA_TTABLE);
  std::vector<float> rows;
  for (int i = 1; i <= static_cast<int>(lua_objlen(L, 2)); ++i) {
    lua_rawgeti(L, 2, i);
    const auto image = check_shared<SeenImage>(L, -1, kImage);
    rows.insert(rows.end(), image->rows.begin(), image->rows.end());
    lua_pop(L, 1);
  }
  c->set_image_rows(std::move(rows));
  return 0;
}

// image_token(model) -> the text that chat templates write for a picture. Throws unsupported for
// models that read texts only.
int image_token(lua_State* L) {
  push_string(L, image_token_text(*check_model(L, 1)));
  return 1;
}

// sees(model) -> whether the model reads texts with pictures
int sees(lua_State* L) {
  lua_pushboolean(L, check_model(L, 1)->spec().vision != nullptr);
  return 1;
}

}  // namespace
}  // namespace lm

extern "C" int luaopen_lm_vision(lua_State* L) {
  using namespace lm;
  constexpr luaL_Reg kNone[] = {{nullptr, nullptr}};
  for (const char* type : {kEncoder, kImage}) {
    new_shared_type(L, type, kNone);
    lua_pop(L, 1);
  }
  constexpr luaL_Reg kFunctions[] = {
      {"encoder", encoder}, {"scores", scores},           {"see", see},      {"show", show},
      {"sees", sees},       {"image_token", image_token}, {nullptr, nullptr}};
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  return 1;
}
