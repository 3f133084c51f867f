#include "engine/data/pack.h"

#include <algorithm>
#include <deque>
#include <map>
#include <numeric>

#include "engine/core/error.h"

namespace lm {

std::vector<std::vector<int64_t>> pack_best_fit(std::span<const int64_t> lengths,
                                                int64_t capacity) {
  std::vector<int64_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  const auto length = [&](int64_t i) { return lengths[static_cast<size_t>(i)]; };
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return length(a) > length(b); });
  std::vector<std::vector<int64_t>> bins;
  std::map<int64_t, std::deque<size_t>> by_room;  // room left -> bins, first come first
  for (const int64_t document : order) {
    const int64_t n = length(document);
    LM_CHECK(n >= 1 && n <= capacity, ErrorCode::internal, "pack: a document has {} tokens of {}",
             n, capacity);
    const auto fit = by_room.lower_bound(n);
    size_t bin = bins.size();
    int64_t room = capacity;
    if (fit == by_room.end()) {
      bins.emplace_back();
    } else {
      room = fit->first;
      bin = fit->second.front();
      fit->second.pop_front();
      if (fit->second.empty()) by_room.erase(fit);
    }
    bins[bin].push_back(document);
    if (room > n) by_room[room - n].push_back(bin);
  }
  return bins;
}

}  // namespace lm
