// What the tests of the training engine share.
#pragma once

#include <cstdio>

#include "engine/api/train.h"
#include "engine/core/error.h"

namespace lm_test {

// The training engine; null, with a printed reason, where its library cannot be opened.
inline const lm::TrainApi* training() {
  try {
    return &lm::train_api();
  } catch (const lm::Error& e) {
    std::printf("skipped: the training library cannot be opened (%s)\n", e.message().c_str());
    std::fflush(stdout);
    return nullptr;
  }
}

}  // namespace lm_test
