#include "engine/infer/sequence_state.h"

#include <cstring>

#include "engine/core/error.h"

namespace lm {

RecurrentState::RecurrentState(const ModelSpec& spec) {
  size_t total = 0;
  for_each_branch(spec, [&](const Branch& branch) {
    const auto n = static_cast<size_t>(state_floats(branch.op, spec.hidden_size));
    if (n == 0) return;
    begins_.push_back(total);
    total += n;
  });
  values_.resize(total);
}

void PageList::resize(int64_t n) {
  LM_CHECK(n - size() <= pool_.n_free(), ErrorCode::out_of_memory,
           "{} pages of the key/value cache are wanted, {} of {} are free", n - size(),
           pool_.n_free(), pool_.n_pages());
  while (size() > n) {
    pool_.release(pages_.back());
    pages_.pop_back();
    data_.pop_back();
  }
  while (size() < n) {
    pages_.push_back(pool_.take());
    data_.push_back(pool_.data(pages_.back()));
  }
}

void PageList::share(int32_t page) {
  pool_.retain(page);
  pages_.push_back(page);
  data_.push_back(pool_.data(page));
}

void PageList::replace(int64_t i, int32_t page) {
  int32_t& mine = pages_[static_cast<size_t>(i)];
  if (mine == page) return;
  pool_.retain(page);
  pool_.release(mine);
  mine = page;
  data_[static_cast<size_t>(i)] = pool_.data(page);
}

void PageList::make_own(int64_t i) {
  int32_t& page = pages_[static_cast<size_t>(i)];
  if (!pool_.shared(page)) return;
  const int32_t mine = pool_.take();
  if (pool_.page_bytes() > 0) std::memcpy(pool_.data(mine), pool_.data(page), pool_.page_bytes());
  pool_.release(page);
  page = mine;
  data_[static_cast<size_t>(i)] = pool_.data(mine);
}

int64_t PageList::n_wanted(int64_t first, int64_t end) const {
  int64_t n = std::max<int64_t>(0, pages_for(end) - size());
  for (int64_t i = first / kPageTokens; i < std::min(size(), pages_for(end)); ++i)
    n += pool_.shared((*this)[i]);
  return n;
}

void SequenceState::prepare(int64_t first, int64_t end) {
  pages.resize(std::max(pages.size(), pages_for(end)));
  for (int64_t i = first / kPageTokens; i < pages_for(end); ++i) pages.make_own(i);
}

void SequenceState::truncate(int64_t rows) {
  pages.resize(std::min(pages.size(), pages_for(rows)));
}

}  // namespace lm
