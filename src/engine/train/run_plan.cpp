#include "engine/train/run_plan.h"

#include <cmath>
#include <numeric>

#include "engine/data/pack.h"
#include "engine/train/roles.h"

namespace lm::train {

RunPlan::RunPlan(const Dataset& data, const TrainOptions& o, int64_t rank, int64_t size)
    : data_(data),
      batch_size_(o.batch_size),
      accumulate_(o.accumulate),
      rank_(rank),
      size_(size),
      shuffle_(o.shuffle),
      seed_(static_cast<uint64_t>(o.seed)),
      capacity_(o.max_length),
      n_virtual_(n_virtual_tokens(o)) {
  std::vector<int64_t> lengths;
  for (const RowView& row : data.rows) lengths.push_back(static_cast<int64_t>(row.ids.size()));
  if (o.packing)
    bins_ = pack_best_fit(lengths, o.max_length);
  else
    for (int64_t i = 0; i < static_cast<int64_t>(lengths.size()); ++i) bins_.push_back({i});
  const int64_t per_step = batch_size_ * accumulate_ * size_;
  steps_per_epoch_ = (n_bins() + per_step - 1) / per_step;
  n_steps_ = o.max_steps > 0
                 ? o.max_steps
                 : std::max<int64_t>(
                       1, static_cast<int64_t>(
                              std::ceil(o.epochs * static_cast<double>(steps_per_epoch_) - 1e-9)));
}

double RunPlan::fill() const {
  return static_cast<double>(data_.n_tokens()) / static_cast<double>(n_bins() * capacity_);
}

double RunPlan::epoch(int64_t steps_done) const {
  return static_cast<double>(steps_done) / static_cast<double>(steps_per_epoch_);
}

int64_t RunPlan::most_tokens() const {
  std::vector<int64_t> sizes;
  for (const auto& bin : bins_) {
    int64_t n = 0;
    for (const int64_t row : bin)
      n += n_virtual_ + static_cast<int64_t>(data_.rows[static_cast<size_t>(row)].ids.size());
    sizes.push_back(n);
  }
  std::sort(sizes.rbegin(), sizes.rend());
  sizes.resize(std::min(sizes.size(), static_cast<size_t>(batch_size_)));
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
}

std::vector<Batch> RunPlan::batches(int64_t step) const {
  const int64_t epoch = step / steps_per_epoch_;
  if (epoch != cached_epoch_) {
    cached_epoch_ = epoch;
    if (shuffle_) {
      order_ = shuffled(n_bins(), seed_ + static_cast<uint64_t>(epoch));
    } else {
      order_.resize(bins_.size());
      std::iota(order_.begin(), order_.end(), 0);
    }
  }
  std::vector<Batch> out;
  const int64_t first = step % steps_per_epoch_ * batch_size_ * accumulate_ * size_;
  for (int64_t pass = 0; pass < accumulate_; ++pass) {
    int64_t bin = first + (pass * size_ + rank_) * batch_size_;
    if (bin >= n_bins()) break;
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < batch_size_ && bin < n_bins(); ++i, ++bin) {
      const auto& list = bins_[static_cast<size_t>(order_[static_cast<size_t>(bin)])];
      rows.insert(rows.end(), list.begin(), list.end());
    }
    out.push_back(make_batch(data_, rows, n_virtual_));
  }
  return out;
}

Batch make_batch(const Dataset& data, const std::vector<int64_t>& rows, int64_t n_virtual) {
  Batch b;
  b.n_virtual = n_virtual;
  b.rows = rows;
  for (const int64_t index : rows) {
    const RowView& row = data.rows[static_cast<size_t>(index)];
    b.document_begin.push_back(b.size());
    for (int64_t i = 0; i < n_virtual; ++i) {
      b.ids.push_back(0);
      b.positions.push_back(static_cast<int32_t>(i));
    }
    const int64_t begin = b.size();
    for (size_t i = 0; i < row.ids.size(); ++i) {
      b.ids.push_back(row.ids[i]);
      b.positions.push_back(static_cast<int32_t>(n_virtual + static_cast<int64_t>(i)));
      if (i == 0 || !row.trained[i]) continue;
      b.from.push_back(begin + static_cast<int64_t>(i) - 1);
      b.target.push_back(row.ids[i]);
    }
  }
  b.document_begin.push_back(b.size());
  return b;
}

}  // namespace lm::train
