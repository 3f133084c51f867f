// First values of adapters, and adapters as files know them.
#pragma once

#include "engine/api/train.h"
#include "engine/formats/adapter.h"
#include "engine/models/open_model.h"
#include "engine/text/tokenizer.h"
#include "engine/train/train_model.h"

namespace lm::train {

// What lora.init says: A uniform in +-1/sqrt(in) (Kaiming with a = sqrt 5), B zero, PEFT's default;
// gaussian: A normal with deviation 1 / rank; else what lora_start took from the weights. The
// numbers of a matrix depend on the seed and its name only. Magnitudes are the lengths of the rows.
// Virtual tokens begin as prompt_text, repeated or cut, or as tokens drawn by the seed: as their
// embeddings, or as the keys and values that the model makes of them.
void init_adapter(TrainModel* model, const TrainOptions& options, const Tokenizer& tokenizer);

// Takes the values of a fitted adapter of the same method and ranks. Throws bad_option where it
// does not fit.
void load_adapter(TrainModel* model, const Adapter& adapter);

// The adapter as it is now, under GGUF's names, for the base as the file has it: with a part taken
// off the base (lora_start) that part is subtracted, which doubles the rank.
Adapter adapter_of(TrainModel* model);

}  // namespace lm::train
