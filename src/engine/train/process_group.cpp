#include "engine/train/process_group.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <charconv>
#include <cstdlib>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "engine/core/error.h"

namespace lm::train {
namespace {

// Gradients travel in pieces of about so many numbers.
constexpr int64_t kBucket = 4 << 20;

std::string variable(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  LM_CHECK(value != nullptr || otherwise != nullptr, ErrorCode::bad_option,
           "WORLD_SIZE is set, {} is not; expected what torchrun sets", name);
  return value != nullptr ? value : otherwise;
}

int64_t number(const char* name, const char* otherwise, int64_t least, int64_t most) {
  const std::string text = variable(name, otherwise);
  int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  LM_CHECK(
      error == std::errc() && end == text.data() + text.size() && value >= least && value <= most,
      ErrorCode::bad_option, "{} is \"{}\"; expected a number from {} to {}", name, text, least,
      most);
  return value;
}

// torchrun's own store listens already; started by others, the leading process opens one.
c10::intrusive_ptr<c10d::Store> open_store(int64_t rank, int64_t size) {
  const bool of_agent = variable("TORCHELASTIC_USE_AGENT_STORE", "") == "True";
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(number("MASTER_PORT", nullptr, 1, 65535));
  options.isServer = rank == 0 && !of_agent;
  if (!of_agent) options.numWorkers = static_cast<size_t>(size);
  auto tcp = c10::make_intrusive<c10d::TCPStore>(variable("MASTER_ADDR", nullptr), options);
  // After a restart of all processes the keys of the last attempt are still there.
  return c10::make_intrusive<c10d::PrefixStore>(
      "lmfast/" + variable("TORCHELASTIC_RESTART_COUNT", "0"), tcp);
}

}  // namespace

struct ProcessGroup::Links {
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::Backend> backend;
};

ProcessGroup::~ProcessGroup() = default;

ProcessGroup::ProcessGroup() {
  constexpr int64_t kMost = 1 << 16;
  size_ = number("WORLD_SIZE", "1", 1, kMost);
  if (size_ == 1) return;
  rank_ = number("RANK", nullptr, 0, size_ - 1);
  local_size_ = number("LOCAL_WORLD_SIZE", "1", 1, size_);
  const c10::intrusive_ptr<c10d::Store> store = open_store(rank_, size_);
  const auto options = c10d::ProcessGroupGloo::Options::create();
  options->devices.push_back(c10d::ProcessGroupGloo::createDefaultDevice());
  links_ = std::make_unique<Links>();
  links_->store = store;
  links_->backend = c10::make_intrusive<c10d::ProcessGroupGloo>(store, static_cast<int>(rank_),
                                                                static_cast<int>(size_), options);
}

void ProcessGroup::sum_tensor(at::Tensor tensor) {
  std::vector<at::Tensor> list = {std::move(tensor)};
  links_->backend->allreduce(list)->wait();
}

void ProcessGroup::sum(std::span<double> values) {
  if (size_ == 1) return;
  sum_tensor(at::from_blob(values.data(), {static_cast<int64_t>(values.size())}, at::kDouble));
}

void ProcessGroup::sum_grads(ParameterSet& parameters, size_t first, size_t last) {
  if (size_ == 1) return;
  std::deque<Parameter>& all = parameters.all();
  for (size_t begin = first, end = first; begin < last; begin = end) {
    int64_t n = 0;
    while (end < last && (n == 0 || n + all[end].grad.numel() <= kBucket))
      n += all[end++].grad.numel();
    if (end == begin + 1) {
      sum_tensor(all[begin].grad.view({n}));
      continue;
    }
    at::Tensor bucket = at::empty({n}, at::kFloat);
    const auto for_pieces = [&](auto&& f) {
      int64_t at = 0;
      for (size_t i = begin; i < end; ++i) {
        at::Tensor grad = all[i].grad.view({-1});
        f(grad, bucket.slice(0, at, at + grad.numel()));
        at += grad.numel();
      }
    };
    for_pieces([](at::Tensor grad, at::Tensor piece) { piece.copy_(grad); });
    sum_tensor(bucket);
    for_pieces([](at::Tensor grad, at::Tensor piece) { grad.copy_(piece); });
  }
}

std::string ProcessGroup::from_leader(const std::string& text) {
  if (size_ == 1) return text;
  const std::string key = "text/" + std::to_string(n_texts_++);
  if (leads()) links_->store->set(key, text);
  return links_->store->get_to_str(key);
}

void ProcessGroup::wait_for_all() {
  double nothing = 0;
  sum({&nothing, 1});
}

}  // namespace lm::train
