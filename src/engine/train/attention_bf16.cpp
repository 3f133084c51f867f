#include "engine/train/attention_bf16.h"

#include <ATen/native/CPUBlas.h>
#include <ATen/ops/empty.h>

#include <bit>

#include "engine/train/attention_tiles.h"
#include "engine/train/rows.h"

namespace lm::train {
namespace {

// Lengths are rounded up to this: products come in few shapes, for each of which code is made.
constexpr int64_t kMultiple = 32;

using Numbers = std::vector<Bf16>;
using Floats = std::vector<float>;

float value(Bf16 x) {
  return load_element(x);
}

Bf16 rounded(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16)};
}

// c [m, n] (+)= a [m, k] b; b as pairs of rows [k / 2, ldb, 2].
void product(int64_t m, int64_t n, int64_t k, const Bf16* a, int64_t lda, const Bf16* b,
             int64_t ldb, float* c, int64_t ldc, bool add = false) {
  at::native::cpublas::brgemm(m, n, k, lda, ldb, ldc, add, reinterpret_cast<const at::BFloat16*>(a),
                              reinterpret_cast<const at::BFloat16*>(b), c, /*is_vnni=*/true);
}

// Columns of some rows of a matrix.
struct Rows {
  const Bf16* at;
  int64_t ld, n;  // rows
};

// The transposed rows as the right factor [dim / 2, ld, 2].
Numbers transposed_pairs(const Rows& rows, int64_t dim, int64_t ld) {
  Numbers out(static_cast<size_t>(dim * ld));
  for (int64_t i = 0; i < rows.n; ++i)
    for (int64_t c = 0; c < dim; c += 2) {
      Bf16* to = out.data() + c * ld + 2 * i;
      to[0] = rows.at[i * rows.ld + c];
      to[1] = rows.at[i * rows.ld + c + 1];
    }
  return out;
}

// The rows as the right factor [padded / 2, dim, 2].
Numbers row_pairs(const Rows& rows, int64_t dim, int64_t padded) {
  Numbers out(static_cast<size_t>(padded * dim));
  for (int64_t i = 0; i < rows.n; ++i) {
    Bf16* to = out.data() + i / 2 * 2 * dim + i % 2;
    for (int64_t c = 0; c < dim; ++c) to[2 * c] = rows.at[i * rows.ld + c];
  }
  return out;
}

// The work of one task: a document's keys and values of a kv head, and the queries of its group.
class HeadGroup {
 public:
  HeadGroup(const AttentionShape& s, const Batch& batch, const Task& task)
      : s_(s),
        task_(task),
        dim_(s.head_dim),
        group_(s.n_heads / s.n_kv_heads),
        padded_(round_up(task.length, kMultiple)),
        // The distance of rows whose number of columns is the document's length. Not a power of
        // two: rows would compete for the same lines of the cache.
        ld_(static_cast<int64_t>(
                std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(64, padded_)))) +
            16),
        total_(batch.size()) {
    const auto rows = static_cast<size_t>(group_ * kTile);
    q_.resize(rows * static_cast<size_t>(dim_));
    scores_.resize(rows * static_cast<size_t>(padded_));
    p_.resize(scores_.size());
    result_.resize(q_.size());
  }

  void forward(const Bf16* qkv, int64_t ldqkv, Bf16* out, int64_t ldout, float* lse) {
    const Numbers k = transposed_pairs(keys(qkv, ldqkv), dim_, ld_);
    const Numbers v = row_pairs(values(qkv, ldqkv), dim_, padded_);
    Floats tile_lse(static_cast<size_t>(group_ * kTile));
    for (int64_t first = 0; first < task_.length; first += kTile) {
      const Tile t = make_tile(s_, first, task_.length, group_, kMultiple);
      const int64_t m = group_ * t.padded, n = t.n_keys();
      gather(qkv, ldqkv, t, q_.data());
      product(m, n, dim_, q_.data(), dim_, k.data() + 2 * t.key_begin, ld_, scores_.data(), n);
      train_kernels().softmax(scores_args(s_, t, scores_.data()), tile_lse.data());
      train_kernels().to_bf16(scores_.data(), n, m, n, p_.data(), n);
      product(m, dim_, n, p_.data(), n, v.data() + t.key_begin * dim_, dim_, result_.data(), dim_);
      scatter(t, out, ldout);
      for (int64_t g = 0; g < group_; ++g)
        std::copy_n(tile_lse.data() + g * t.padded, t.n, lse_of(lse, g, t));
    }
  }

  // dqkv's columns of the task.
  void backward(const Bf16* qkv, int64_t ldqkv, const Bf16* out, int64_t ldout, const float* lse,
                const Bf16* dout, int64_t lddout, Bf16* dqkv, int64_t lddqkv) {
    const Numbers k = transposed_pairs(keys(qkv, ldqkv), dim_, ld_),
                  v = transposed_pairs(values(qkv, ldqkv), dim_, ld_),
                  k_rows = row_pairs(keys(qkv, ldqkv), dim_, padded_);
    Floats dk(static_cast<size_t>(dim_ * ld_)), dv(dk.size());  // transposed
    Floats dp(scores_.size()), tile_lse(static_cast<size_t>(group_ * kTile)),
        delta(tile_lse.size());
    Numbers o(q_.size()), d_o(q_.size()), turned(q_.size());
    for (int64_t first = 0; first < task_.length; first += kTile) {
      const Tile t = make_tile(s_, first, task_.length, group_, kMultiple);
      const int64_t m = group_ * t.padded, n = t.n_keys();
      gather(qkv, ldqkv, t, q_.data());
      gather(out, ldout, t, o.data());
      gather(dout, lddout, t, d_o.data());
      for (int64_t r = 0; r < m; ++r) delta[static_cast<size_t>(r)] = dot(&o[at(r)], &d_o[at(r)]);
      for (int64_t g = 0; g < group_; ++g)
        std::copy_n(lse_of(lse, g, t), t.n, tile_lse.data() + g * t.padded);
      product(m, n, dim_, q_.data(), dim_, k.data() + 2 * t.key_begin, ld_, scores_.data(), n);
      product(m, n, dim_, d_o.data(), dim_, v.data() + 2 * t.key_begin, ld_, dp.data(), n);
      train_kernels().softmax_backward(scores_args(s_, t, scores_.data()), tile_lse.data(),
                                       delta.data(), dp.data());
      train_kernels().to_bf16_pairs(scores_.data(), n, m, n, p_.data());
      turn(d_o, m, turned.data());
      product(dim_, n, m, turned.data(), m, p_.data(), n, dv.data() + t.key_begin, ld_, true);
      train_kernels().to_bf16_pairs(dp.data(), n, m, n, p_.data());
      turn(q_, m, turned.data());
      product(dim_, n, m, turned.data(), m, p_.data(), n, dk.data() + t.key_begin, ld_, true);
      train_kernels().to_bf16(dp.data(), n, m, n, p_.data(), n);
      product(m, dim_, n, p_.data(), n, k_rows.data() + t.key_begin * dim_, dim_, result_.data(),
              dim_);
      scatter(t, dqkv, lddqkv);
    }
    write_turned(dk, dqkv + key_column(), lddqkv);
    write_turned(dv, dqkv + value_column(), lddqkv);
  }

 private:
  int64_t key_column() const { return s_.q_width() + task_.kv_head * dim_; }
  int64_t value_column() const { return s_.q_width() + (s_.n_kv_heads + task_.kv_head) * dim_; }
  Rows keys(const Bf16* qkv, int64_t ld) const {
    return {qkv + task_.begin * ld + key_column(), ld, task_.length};
  }
  Rows values(const Bf16* qkv, int64_t ld) const {
    return {qkv + task_.begin * ld + value_column(), ld, task_.length};
  }
  size_t at(int64_t row) const { return static_cast<size_t>(row * dim_); }
  template <typename T>  // float or const float
  T* lse_of(T* lse, int64_t g, const Tile& t) const {
    return lse + (task_.kv_head * group_ + g) * total_ + task_.begin + t.first;
  }

  // The tile's queries' columns of a matrix [T, ld], heads one below the other: [m, dim].
  void gather(const Bf16* from, int64_t ld, const Tile& t, Bf16* to) const {
    for (int64_t g = 0; g < group_; ++g)
      for (int64_t i = 0; i < t.padded; ++i, to += dim_) {
        if (i < t.n)
          std::copy_n(from + (task_.begin + t.first + i) * ld + (task_.kv_head * group_ + g) * dim_,
                      dim_, to);
        else
          std::fill_n(to, dim_, Bf16{0});
      }
  }

  // And result_ back into one.
  void scatter(const Tile& t, Bf16* to, int64_t ld) const {
    for (int64_t g = 0; g < group_; ++g)
      train_kernels().to_bf16(
          result_.data() + g * t.padded * dim_, dim_, t.n, dim_,
          to + (task_.begin + t.first) * ld + (task_.kv_head * group_ + g) * dim_, ld);
  }

  float dot(const Bf16* a, const Bf16* b) const {
    float sum = 0;
    for (int64_t i = 0; i < dim_; ++i) sum += value(a[i]) * value(b[i]);
    return sum;
  }

  // [m, dim] -> [dim, m]
  void turn(const Numbers& from, int64_t m, Bf16* to) const {
    for (int64_t r = 0; r < m; ++r)
      for (int64_t c = 0; c < dim_; ++c) to[c * m + r] = from[at(r) + static_cast<size_t>(c)];
  }

  void write_turned(const Floats& from, Bf16* to, int64_t ld) const {
    for (int64_t i = 0; i < task_.length; ++i)
      for (int64_t c = 0; c < dim_; ++c)
        to[(task_.begin + i) * ld + c] = rounded(from[static_cast<size_t>(c * ld_ + i)]);
  }

  const AttentionShape& s_;
  const Task& task_;
  int64_t dim_, group_, padded_, ld_, total_;
  Numbers q_, p_;
  Floats scores_, result_;
};

}  // namespace

bool has_bf16_attention(const AttentionShape& s, const at::Tensor& qkv) {
  static const bool can = at::native::cpublas::could_pack(at::kBFloat16);
  return can && qkv.scalar_type() == at::kBFloat16 && s.head_dim % 2 == 0;
}

void bf16_attention_forward(const AttentionShape& s, const Batch& batch, const at::Tensor& qkv,
                            at::Tensor& out, at::Tensor& lse) {
  for_tasks(s, batch, [&](const Task& task) {
    HeadGroup(s, batch, task)
        .forward(rows_of<Bf16>(qkv), qkv.stride(0), mutable_rows_of<Bf16>(out), out.stride(0),
                 lse.mutable_data_ptr<float>());
    at::native::cpublas::brgemm_release();
  });
}

at::Tensor bf16_attention_backward(const AttentionShape& s, const Batch& batch,
                                   const at::Tensor& qkv, const at::Tensor& out,
                                   const at::Tensor& lse, const at::Tensor& dout) {
  at::Tensor dqkv = at::empty({batch.size(), s.width()}, at::kBFloat16);
  for_tasks(s, batch, [&](const Task& task) {
    HeadGroup(s, batch, task)
        .backward(rows_of<Bf16>(qkv), qkv.stride(0), rows_of<Bf16>(out), out.stride(0),
                  lse.const_data_ptr<float>(), rows_of<Bf16>(dout), dout.stride(0),
                  mutable_rows_of<Bf16>(dqkv), dqkv.stride(0));
    at::native::cpublas::brgemm_release();
  });
  return dqkv;
}

}  // namespace lm::train
