// history.jsonl of a run: one line for each event, as it happens.
#pragma once

#include <string>

#include "engine/api/train.h"

namespace lm::train {

class History {
 public:
  // The file appears with the first event.
  explicit History(const std::string& run) : path_(run + "/history.jsonl") {}
  // Throws io.
  void add(const TrainEvent& event) const;
  // Forgets what came after `step`.
  void truncate(int64_t step) const;

 private:
  std::string path_;
};

// Most memory that this process had, in bytes.
int64_t peak_memory();

}  // namespace lm::train
