// Opens the files of a model, whatever their format: configuration, tensors under our names,
// tokenizer and chat template. What Model::load packs for inference and training makes trainable.
#pragma once

#include <memory>
#include <string>

#include "engine/formats/checkpoint.h"
#include "engine/formats/model_config.h"
#include "engine/models/model_spec.h"

namespace lm {

class Tokenizer;

struct OpenedModel {
  ModelConfig config;
  TensorFile file;  // tensors have GGUF's names; their layout is the file's (config.gguf_layout)
  std::shared_ptr<const Tokenizer> tokenizer;
  std::string chat_template;  // empty: none
  const char* format = "";    // "gguf", "safetensors", "llama2c", ...
  std::string folder;         // of a Hugging Face model
};

// path: see Model::load. Throws not_found, io, bad_file, unsupported.
OpenedModel open_model(const std::string& path);
// What its architecture computes, pooling included. Throws as the architecture does.
ModelSpec describe_model(const OpenedModel& opened);

}  // namespace lm
