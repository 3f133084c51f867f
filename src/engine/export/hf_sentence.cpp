// The files of sentence-transformers beside an encoder.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/core/mapped_file.h"
#include "engine/export/hf_folder.h"

namespace lm {

using nlohmann::ordered_json;

std::vector<std::string> write_sentence_files(const ModelSpec& spec, const std::string& folder) {
  if (spec.head || spec.output || spec.image || spec.causal()) return {};
  ordered_json modules = ordered_json::array();
  const auto step = [&](const char* type, const std::string& path) {
    const size_t i = modules.size();
    modules.push_back({{"idx", i},
                       {"name", std::to_string(i)},
                       {"path", path},
                       {"type", std::string("sentence_transformers.models.") + type}});
  };
  step("Transformer", "");
  step("Pooling", "1_Pooling");
  if (spec.normalize) step("Normalize", "2_Normalize");
  const ordered_json pooling = {{"word_embedding_dimension", spec.hidden_size},
                                {"pooling_mode_cls_token", spec.pooling == Pooling::cls},
                                {"pooling_mode_mean_tokens", spec.pooling == Pooling::mean},
                                {"pooling_mode_max_tokens", false},
                                {"pooling_mode_mean_sqrt_len_tokens", false},
                                {"pooling_mode_lasttoken", spec.pooling == Pooling::last}};
  std::vector<std::string> files;
  const auto put = [&](const std::string& name, const ordered_json& j) {
    const std::string text = j.dump(2) + "\n";
    files.push_back(folder + "/" + name);
    write_file_atomic(files.back(), std::as_bytes(std::span(text)));
  };
  std::filesystem::create_directories(folder + "/1_Pooling");
  put("1_Pooling/config.json", pooling);
  put("modules.json", modules);
  return files;
}

}  // namespace lm
