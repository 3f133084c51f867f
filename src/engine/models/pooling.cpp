#include "engine/models/pooling.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/formats/json_file.h"

namespace lm {
namespace {

using nlohmann::json;

// "sentence_transformers.models.Pooling" -> "Pooling"
std::string step_name(const json& module) {
  const std::string type = module.is_object() ? module.value("type", "") : "";
  const size_t dot = type.rfind('.');
  return dot == type.npos ? type : type.substr(dot + 1);
}

Pooling pooling_of(const std::string& path) {
  const json config = read_json_file(path);
  struct Mode {
    const char* name;
    Pooling pooling;
  };
  for (const Mode m : {Mode{"pooling_mode_mean_tokens", Pooling::mean},
                       Mode{"pooling_mode_cls_token", Pooling::cls},
                       Mode{"pooling_mode_lasttoken", Pooling::last}})
    if (config.is_object() && config.value(m.name, false)) return m.pooling;
  raise(ErrorCode::unsupported,
        "{}: no way of pooling that is supported; mean, first and last token are", path);
}

}  // namespace

void read_sentence_transformers(const std::string& folder, ModelSpec* spec) {
  const std::string modules = folder + "/modules.json";
  if (!std::filesystem::exists(modules)) return;
  const json list = read_json_file(modules);
  LM_CHECK(list.is_array(), ErrorCode::bad_file, "{}: not a list of modules", modules);
  spec->normalize = false;
  for (const json& module : list) {
    const std::string step = step_name(module);
    if (step == "Normalize") {
      spec->normalize = true;
    } else if (step == "Pooling") {
      const std::string inner = module.value("path", "1_Pooling");
      LM_CHECK(inner.find("..") == inner.npos && !inner.starts_with('/'), ErrorCode::bad_file,
               "{}: path \"{}\" leaves the folder", modules, inner);
      spec->pooling = pooling_of(folder + "/" + inner + "/config.json");
    } else {
      LM_CHECK(step == "Transformer", ErrorCode::unsupported,
               "{}: step \"{}\" is not supported; Transformer, Pooling and Normalize are", modules,
               step);
    }
  }
}

void read_gguf_pooling(const ConfigSource& source, ModelSpec* spec) {
  switch (source.integer("", "pooling_type").value_or(0)) {
    case 1:
      spec->pooling = Pooling::mean;
      return;
    case 2:
      spec->pooling = Pooling::cls;
      return;
    case 3:
      spec->pooling = Pooling::last;
      return;
    default:
      return;
  }
}

}  // namespace lm
