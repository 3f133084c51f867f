#include "engine/text/jinja/limits.h"

#include "engine/core/error.h"

namespace lm::jinja {

namespace {
thread_local Limits* current = nullptr;
}

Limits::Limits(const int* line) : outer_(current), line_(line) {
  current = this;
}
Limits::~Limits() {
  current = outer_;
}

void spend_work(size_t units) {
  if (current == nullptr) return;
  current->work_ += units;
  LM_CHECK(current->work_ <= kMaxWork, ErrorCode::bad_option,
           "chat template line {}: more than {} million operations", *current->line_,
           kMaxWork / 1'000'000);
}

void spend_bytes(size_t bytes) {
  if (current == nullptr) return;
  current->bytes_ += bytes;
  LM_CHECK(current->bytes_ <= kMaxBytes, ErrorCode::bad_option,
           "chat template line {}: more than {} MiB of text and lists", *current->line_,
           kMaxBytes >> 20);
}

}  // namespace lm::jinja
