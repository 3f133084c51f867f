// Training, behind the lazy door: liblmfast_train.so and libtorch behind it are opened on the first
// call, so that a program that does not train starts in milliseconds. Exceptions cross the door
// with their type (lm::Error).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace lm {

struct TorchInfo {
  std::string version;  // libtorch's, e.g. "2.13.0"
  int threads = 0;      // threads libtorch computes with
  bool cuda = false;    // a GPU that libtorch can use
};

#define LM_OPTION_NUMBER(name, initial, least, most, doc) double name = initial;
#define LM_OPTION_INTEGER(name, initial, least, most, doc) int64_t name = initial;
#define LM_OPTION_BOOLEAN(name, initial, doc) bool name = initial;
#define LM_OPTION_WORD(name, initial, choices, doc) std::string name = initial;

struct LoraOptions {
#include "engine/api/lora_options.inc"
  // Matrices that get an adapter, by the last parts of Hugging Face's names ("q_proj"); empty: all
  // of the layers.
  std::vector<std::string> targets;
};

struct TrainOptions {
#include "engine/api/train_options.inc"
  LoraOptions lora;
  std::string model;                    // what Model::load takes
  std::string model_name;               // as the user wrote it, for the adapter's config
  std::vector<std::string> data;        // files, folders, patterns
  std::vector<std::string> rows;        // or rows as JSON texts
  std::vector<std::string> eval_data;   // files for evaluation; empty: eval_split
  std::vector<std::string> train_only;  // full training: names (parts of them) of what is trained
  std::vector<std::string> freeze;      // and of what is not
  std::vector<std::string> no_decay;    // names (parts of them) that weight decay leaves out
  std::string prompt_text;              // first values of virtual tokens; empty: tokens by chance
  std::string init_adapter;             // adapter folder to start from
  std::string output;                   // the run's folder
  bool resume = false;                  // go on from the newest checkpoint in `output`
};

#undef LM_OPTION_NUMBER
#undef LM_OPTION_INTEGER
#undef LM_OPTION_BOOLEAN
#undef LM_OPTION_WORD

// One line of a run's history.
struct TrainEvent {
  std::string kind;  // "step", "eval", "save"
  int64_t step = 0, n_steps = 0;
  double epoch = 0;
  double loss = 0;       // mean over the step's target tokens, or over those of the evaluation
  double accuracy = 0;   // share of target tokens that are the likeliest
  double entropy = 0;    // mean, in nats
  double grad_norm = 0;  // before clipping
  double learning_rate = 0;
  int64_t tokens = 0;  // seen so far
  double tokens_per_s = 0;
  int64_t memory = 0;  // bytes of the process at most so far
  double eta_s = 0;
  std::string path;  // of a checkpoint
};

struct TrainSink {
  std::function<void(const TrainEvent&)> on_event;          // may throw: the run ends
  std::function<void(const std::string&)> on_note;          // lines about data, memory, resuming
  std::function<void(double, const std::string&)> on_wait;  // progress of what comes before
  std::function<bool()> should_stop;                        // polled after each step
};

struct TrainResult {
  std::string output;   // the run's folder
  std::string adapter;  // folder of the adapter; empty when the weights themselves were trained
  std::string model;    // folder of the trained model, or the base of the adapter
  int64_t steps = 0;
  double loss = 0, eval_loss = 0;  // NaN without a step or an evaluation
  double seconds = 0;
  bool stopped = false;  // before its end, by request
};

// What liblmfast_train.so offers. One table, handed over by its only exported C function.
struct TrainApi {
  int version;  // kTrainApiVersion of the build; both sides must agree
  TorchInfo (*torch_info)();
  // Multiplies two n x n f32 matrices for about `seconds` and returns GFLOP/s. Throws bad_option
  // for n outside 1..16384.
  double (*matmul_gflops)(int64_t n, double seconds);
  // Throws what opening models and data throws; bad_option for options that contradict each other;
  // unsupported for models that cannot be trained; out_of_memory before it starts where the memory
  // cannot hold it; bad_file for a resumed run of other data; internal when the loss is not finite.
  TrainResult (*train)(const TrainOptions& options, const TrainSink& sink);
};

inline constexpr int kTrainApiVersion = 2;

// Opens the library if it is not open yet. Looks beside liblmfast.so, or at LMFAST_TRAIN_LIBRARY.
// Throws not_found with the loader's reason, or unsupported when the library is from another build.
const TrainApi& train_api();
// Whether it has been opened already; never opens it.
bool train_api_loaded();

}  // namespace lm
