// SentencePiece .model files as plain data. Source: google/sentencepiece
// src/sentencepiece_model.proto (field numbers and defaults).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/text/sentencepiece_normalizer.h"
#include "engine/text/vocab.h"

namespace lm {

// What the protobuf says, with the defaults of its schema.
struct SentencePieceFile {
  static constexpr uint64_t kUnigram = 1, kBpe = 2;
  std::vector<float> scores;  // one for each piece
  uint64_t model_type = kUnigram;
  bool byte_fallback = false;
  int32_t unk = 0, bos = 1, eos = 2, pad = -1;  // -1: the vocabulary has no such piece
  std::string unk_surface = " \xE2\x81\x87 ";
  std::string charsmap;
  SentencePieceRules rules;
};

// Appends the pieces to `vocab`. Throws bad_file.
SentencePieceFile read_sentencepiece_file(std::string_view bytes, const std::string& name,
                                          Vocab& vocab);

}  // namespace lm
