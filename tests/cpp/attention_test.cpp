// The attention kernel over pages, and its bitwise independence of the rows beside a row.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/core/rng.h"
#include "engine/kernels/cpu/kernels.h"

using namespace lm;

namespace {

// Keys and values of one head in pages that lie in memory in falling order.
struct Cache {
  int64_t dim, value_dim, n_keys;
  KvType type;
  std::vector<float> keys, values;
  std::vector<std::byte> memory;
  std::vector<const std::byte*> pages;

  int64_t v_offset() const { return kv_key_bytes(type, dim); }
  int64_t page_bytes() const { return v_offset() + kv_value_bytes(type, value_dim); }

  // The nearest of 16 steps from the value's least number to its largest: what 4 bits can hold.
  void round_value(int64_t p) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(p * value_dim);
    const auto end = begin + static_cast<std::ptrdiff_t>(value_dim);
    const double least = static_cast<double>(*std::min_element(begin, end));
    const double step = (static_cast<double>(*std::max_element(begin, end)) - least) / 15;
    for (auto x = begin; x != end; ++x)
      *x = static_cast<float>(least + step * std::round((static_cast<double>(*x) - least) / step));
  }

  Cache(Rng& rng, const Kernels& k, KvType t, int64_t d, int64_t dv, int64_t n)
      : dim(d), value_dim(dv), n_keys(n), type(t) {
    const auto fill = [&](std::vector<float>& x, int64_t size) {
      for (int64_t i = 0; i < size; ++i) x.push_back(static_cast<float>(rng.uniform() * 2.0 - 1.0));
    };
    fill(keys, n * d);
    fill(values, n * dv);
    const int64_t n_pages = (n + kPageTokens - 1) / kPageTokens;
    memory.resize(static_cast<size_t>(n_pages * page_bytes()));
    std::vector<std::byte*> writable;
    for (int64_t i = n_pages; i-- > 0;) writable.push_back(memory.data() + i * page_bytes());
    pages.assign(writable.begin(), writable.end());
    for (int64_t p = 0; p < n; ++p) {
      std::byte* page = writable[static_cast<size_t>(p / kPageTokens)];
      k.store_kv({&keys[static_cast<size_t>(p * d)], &values[static_cast<size_t>(p * dv)], d, dv, t,
                  p % kPageTokens, page, page + v_offset()});
      if (type == KvType::int4) round_value(p);
    }
  }
};

struct Rows {
  std::vector<const float*> q;
  std::vector<int64_t> n_keys, first_key;
};

// One chunk's results of the rows first .. first + m - 1: DV sums, largest, sum of each.
std::vector<float> chunk_results(const Kernels& k, const Cache& c, const Rows& rows, size_t first,
                                 int64_t m, int64_t chunk, int64_t n_sink) {
  std::vector<float> scores(static_cast<size_t>(m * kAttentionChunk)),
      out(static_cast<size_t>(m * (c.value_dim + 2)));
  std::vector<float> largest(static_cast<size_t>(m)), sum(static_cast<size_t>(m));
  std::vector<float*> outs;
  for (int64_t r = 0; r < m; ++r) outs.push_back(&out[static_cast<size_t>(r * (c.value_dim + 2))]);
  AttentionArgs args;
  args.q = rows.q.data() + first;
  args.pages = c.pages.data();
  args.v_offset = c.v_offset();
  args.kv_type = c.type;
  args.head_dim = c.dim;
  args.value_dim = c.value_dim;
  args.m = m;
  args.chunk = chunk;
  args.n_keys = rows.n_keys.data() + first;
  args.first_key = rows.first_key.data() + first;
  args.n_sink = n_sink;
  args.scale = 0.25f;
  args.scores = scores.data();
  args.out = outs.data();
  args.largest = largest.data();
  args.sum = sum.data();
  k.attention(args);
  for (int64_t r = 0; r < m; ++r) {
    outs[static_cast<size_t>(r)][c.value_dim] = largest[static_cast<size_t>(r)];
    outs[static_cast<size_t>(r)][c.value_dim + 1] = sum[static_cast<size_t>(r)];
  }
  return out;
}

// Double precision: sum of exp(score) * value over the visible keys of the chunk, and of
// exp(score).
std::vector<double> expected_row(const Cache& c, const float* q, int64_t n_keys, int64_t first_key,
                                 int64_t n_sink, int64_t chunk) {
  std::vector<double> out(static_cast<size_t>(c.value_dim) + 1, 0.0);
  for (int64_t i = chunk * kAttentionChunk; i < std::min(n_keys, (chunk + 1) * kAttentionChunk);
       ++i) {
    if (i < first_key && i >= n_sink) continue;
    double s = 0;
    for (int64_t d = 0; d < c.dim; ++d)
      s += static_cast<double>(q[d]) *
           static_cast<double>(c.keys[static_cast<size_t>(i * c.dim + d)]);
    const double p = std::exp(s * 0.25);
    for (int64_t d = 0; d < c.value_dim; ++d)
      out[static_cast<size_t>(d)] +=
          p * static_cast<double>(c.values[static_cast<size_t>(i * c.value_dim + d)]);
    out.back() += p;
  }
  return out;
}

double tolerance(KvType type) {
  switch (type) {
    case KvType::f32:
      return 2e-6;
    case KvType::f16:
      return 2e-3;
    default:
      return 1.5e-2;
  }
}

}  // namespace

TEST_CASE(
    "attention: every table, cache type, row count and head size against double precision; rows do "
    "not depend on their neighbours") {
  Rng rng(11);
  constexpr int64_t kKeys = kAttentionChunk + 37;
  for (const auto& [dim, value_dim] :
       {std::pair<int64_t, int64_t>{8, 8}, {24, 40}, {64, 64}, {40, 24}})
    for (const KvType type : {KvType::f32, KvType::f16, KvType::bf16, KvType::int8, KvType::int4})
      for (int table = 0; table < n_kernel_tables(); ++table) {
        const Kernels& k = kernel_table(table);
        CAPTURE(k.name);
        CAPTURE(static_cast<int>(type));
        const Cache cache(rng, k, type, dim, value_dim, kKeys);
        std::vector<float> q(static_cast<size_t>(kAttentionRows * dim));
        for (float& x : q) x = static_cast<float>(rng.uniform() * 4.0 - 2.0);
        Rows rows;
        for (int64_t r = 0; r < kAttentionRows; ++r) {
          rows.q.push_back(&q[static_cast<size_t>(r * dim)]);
          rows.n_keys.push_back(kKeys - 3 * r);
          rows.first_key.push_back(r % 2 ? rows.n_keys.back() - 45 : 0);
        }
        const auto step = static_cast<std::ptrdiff_t>(value_dim + 2);
        for (const int64_t n_sink : {0, 5})
          for (int64_t chunk = 0; chunk < 2; ++chunk) {
            const auto all = chunk_results(k, cache, rows, 0, kAttentionRows, chunk, n_sink);
            for (int64_t r = 0; r < kAttentionRows; ++r) {
              const auto at = static_cast<size_t>(r);
              const auto row = all.begin() + r * step;
              const auto want = expected_row(cache, rows.q[at], rows.n_keys[at], rows.first_key[at],
                                             n_sink, chunk);
              const double unit = std::exp(static_cast<double>(row[value_dim]));
              const double sum = static_cast<double>(row[value_dim + 1]) * unit;
              if (want.back() == 0.0) {
                CHECK(row[value_dim + 1] == 0.0f);
                continue;
              }
              CHECK(sum / want.back() == doctest::Approx(1.0).epsilon(tolerance(type)));
              for (int64_t d = 0; d < value_dim; ++d)
                CHECK(std::fabs(static_cast<double>(row[d]) * unit / sum -
                                want[static_cast<size_t>(d)] / want.back()) <= tolerance(type));
              const bool sees = rows.n_keys[at] > chunk * kAttentionChunk;
              if (!sees) continue;
              const auto alone = chunk_results(k, cache, rows, at, 1, chunk, n_sink);
              CHECK(std::equal(alone.begin(), alone.end(), row));
            }
          }
      }
}

TEST_CASE("attention: a head of 64 takes 0.53 of f16's memory with int8, 0.42 with int4") {
  const auto bytes = [](KvType type) { return kv_key_bytes(type, 64) + kv_value_bytes(type, 64); };
  CHECK(bytes(KvType::f16) == 32 * 64 * 2 * 2);
  CHECK(bytes(KvType::int8) == 32 * (64 + 4) * 2);
  CHECK(bytes(KvType::int4) == 32 * (64 + 4) + 32 * (32 + 4 + 4));
}
