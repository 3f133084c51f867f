// Every kernel table against plain loops in double precision, and column counts against each other,
// bit for bit.
#include "engine/kernels/cpu/kernels.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "engine/core/half.h"
#include "engine/core/rng.h"

using namespace lm;

namespace {

std::vector<float> random_floats(Rng& rng, size_t n, double scale) {
  std::vector<float> v(n);
  for (float& x : v) x = static_cast<float>((rng.uniform() - 0.5) * 2 * scale);
  return v;
}

// Random bytes of a weight type; its f16 scales (at these offsets of a block) are small normal
// numbers, E8M0 scales are near 1.
std::vector<std::byte> random_weights(Rng& rng, DType type, int64_t n) {
  std::vector<std::byte> bytes(static_cast<size_t>(dtype_bytes(type, n)));
  for (auto& b : bytes) b = static_cast<std::byte>(rng.next());
  const DTypeInfo& info = dtype_info(type);
  std::vector<size_t> halves;
  if (type == DType::f16 || (info.block > 1 && type != DType::mxfp4)) halves = {0};
  if (type == DType::q4_1 || type == DType::q5_1 || type == DType::q4_k || type == DType::q5_k)
    halves = {0, 2};
  if (type == DType::q2_k) halves = {80, 82};
  if (type == DType::q3_k) halves = {108};
  if (type == DType::q6_k) halves = {208};
  for (size_t at = 0; at < bytes.size(); at += static_cast<size_t>(info.block_bytes)) {
    for (const size_t h : halves) {
      const uint16_t value = float_to_half(static_cast<float>((rng.uniform() - 0.5) * 0.2));
      std::memcpy(&bytes[at + h], &value, 2);
    }
    if (type == DType::mxfp4) bytes[at] = static_cast<std::byte>(120 + rng.next() % 12);
    if (type == DType::bf16) {
      const uint16_t value = float_to_bf16(static_cast<float>(rng.uniform() - 0.5));
      std::memcpy(&bytes[at], &value, 2);
    }
    if (type == DType::f32) {
      const auto value = static_cast<float>(rng.uniform() - 0.5);
      std::memcpy(&bytes[at], &value, 4);
    }
  }
  return bytes;
}

struct Acts {
  std::vector<float> x, d, dsum;
  std::vector<int8_t> q, q_low;
  std::vector<int32_t> sum;
  Activations view;
  Acts(const Kernels& k, const std::vector<float>& values, int64_t tokens, int64_t cols,
       int planes = 2)
      : x(values) {
    const auto blocks = static_cast<size_t>(tokens * (cols / 32));
    d.resize(blocks), dsum.resize(blocks), sum.resize(2 * blocks), q.resize(values.size()),
        q_low.resize(values.size());
    for (int64_t t = 0; t < tokens; ++t) {
      const int64_t b = t * (cols / 32);
      k.quantize_row(x.data() + t * cols, cols, q.data() + t * cols,
                     planes == 2 ? q_low.data() + t * cols : nullptr, d.data() + b, dsum.data() + b,
                     sum.data() + 2 * b);
    }
    view = {x.data(), q.data(),    planes == 2 ? q_low.data() : nullptr,
            d.data(), dsum.data(), sum.data(),
            cols,     cols};
  }
  // What the integers stand for.
  double value(int64_t i) const {
    const auto at = static_cast<size_t>(i);
    return static_cast<double>(d[at / 32]) *
           (view.q_low != nullptr ? 256 * q[at] + q_low[at] : q[at]);
  }
};

// Every product against double precision, and every number of tokens bitwise against all of them.
void check_matmul(const Kernels& k, const PanelMatrix& w, const Acts& acts,
                  const std::vector<float>& dense, int64_t tokens) {
  const int64_t rows = w.rows, cols = acts.view.cols;
  std::vector<float> out(static_cast<size_t>(tokens * rows));
  k.matmul({&w, &acts.view, 0, w.n_panels(), tokens, out.data(), rows, nullptr, Epilogue::store});
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t r = 0; r < rows; ++r) {
      double expected = 0, magnitude = 0;
      for (int64_t c = 0; c < cols; ++c) {
        // Quantized weights meet quantized activations: the reference uses the same integers.
        const double a = w.quantized()
                             ? acts.value(t * cols + c)
                             : static_cast<double>(acts.x[static_cast<size_t>(t * cols + c)]);
        const double p = a * static_cast<double>(dense[static_cast<size_t>(r * cols + c)]);
        expected += p;
        magnitude += std::fabs(p);
      }
      CHECK(std::fabs(out[static_cast<size_t>(t * rows + r)] - expected) <=
            3e-6 * magnitude + 1e-6);
    }
  for (int64_t n = 1; n <= tokens; n += n < 10 ? 1 : 3) {
    std::vector<float> some(static_cast<size_t>(n * rows));
    k.matmul({&w, &acts.view, 0, w.n_panels(), n, some.data(), rows, nullptr, Epilogue::store});
    CHECK(std::memcmp(some.data(), out.data(), some.size() * 4) == 0);
  }
}

}  // namespace

TEST_CASE(
    "half and bf16 conversions: every f16 value survives the round trip; rounding is to nearest "
    "even") {
  for (uint32_t h = 0; h < 65536; ++h) {
    const float f = half_to_float(static_cast<uint16_t>(h));
    if (!std::isnan(f)) CHECK(float_to_half(f) == h);
  }
  CHECK(float_to_half(65519.9f) == 0x7bff);
  CHECK(float_to_half(65520.0f) == 0x7c00);
  CHECK(float_to_half(1.0f + 0x1p-11f) == 0x3c00);  // tie to even
  CHECK(float_to_half(1.0f + 3 * 0x1p-11f) == 0x3c02);
  CHECK(half_to_float(1) == 0x1p-24f);
  CHECK(float_to_bf16(1.0f + 0x1p-8f) == 0x3f80);  // tie to even
  CHECK(float_to_bf16(1.0f + 3 * 0x1p-8f) == 0x3f82);
}

TEST_CASE(
    "matmul: every table, weight type and column count against double precision; columns do not "
    "influence each other") {
  Rng rng(7);
  for (int kind = 0; kind < kPanelKinds; ++kind)
    for (const auto& [rows, some_cols] :
         {std::pair<int64_t, int64_t>{40, 64}, {16, 96}, {33, 160}}) {
      const PanelFormat format = panel_format(static_cast<PanelKind>(kind));
      const DType type = format.dtype;
      const int64_t cols = format.block == 256 ? 8 * some_cols : some_cols;
      const auto bytes = random_weights(rng, type, rows * cols);
      const PanelSource source{{bytes.data(), type, {rows, cols}}, false};
      const PanelMatrix w =
          pack_panels(std::span(&source, 1), panel_kind_for(type), false, ThreadPool::instance());
      CHECK(w.data.size() == static_cast<size_t>((rows + 15) / 16 * 16 * dtype_bytes(type, cols)));
      std::vector<float> dense(static_cast<size_t>(rows * cols)),
          unpacked(static_cast<size_t>(cols));
      to_f32(source.view, 0, rows * cols, dense.data());
      for (int64_t r = 0; r < rows; ++r) {
        unpack_row(w, r, unpacked.data());
        CHECK(std::memcmp(unpacked.data(), &dense[static_cast<size_t>(r * cols)],
                          static_cast<size_t>(cols) * 4) == 0);
      }
      constexpr int64_t kTokens = 37;
      const auto x = random_floats(rng, static_cast<size_t>(kTokens * cols), 3.0);
      for (int table = 0; table < n_kernel_tables(); ++table)
        for (const int planes : {1, 2}) {
          const Kernels& k = kernel_table(table);
          CAPTURE(k.name);
          CAPTURE(dtype_name(type));
          CAPTURE(planes);
          const Acts acts(k, x, kTokens, cols, planes);
          check_matmul(k, w, acts, dense, kTokens);
        }
    }
}

TEST_CASE("matmul: bias, add and gated epilogues; transposed sources; padded gate and up panels") {
  Rng rng(9);
  constexpr int64_t kRows = 24, kCols = 32, kTokens = 3;
  const auto a = random_floats(rng, kRows * kCols, 1.0), b = random_floats(rng, kRows * kCols, 1.0),
             x = random_floats(rng, kTokens * kCols, 1.0);
  const auto bias = random_floats(rng, kRows, 1.0);
  std::vector<float> a_transposed(a.size());
  for (int64_t r = 0; r < kRows; ++r)
    for (int64_t c = 0; c < kCols; ++c)
      a_transposed[static_cast<size_t>(c * kRows + r)] = a[static_cast<size_t>(r * kCols + c)];
  const auto view = [](const std::vector<float>& v, Shape shape) {
    return TensorView{reinterpret_cast<const std::byte*>(v.data()), DType::f32, std::move(shape)};
  };
  const PanelSource plain{view(a, {kRows, kCols}), false}, other{view(b, {kRows, kCols}), false},
      turned{view(a_transposed, {kCols, kRows}), true};
  const auto dot = [&](const std::vector<float>& w, int64_t t, int64_t r) {
    double s = 0;
    for (int64_t c = 0; c < kCols; ++c)
      s += static_cast<double>(w[static_cast<size_t>(r * kCols + c)]) *
           static_cast<double>(x[static_cast<size_t>(t * kCols + c)]);
    return s;
  };
  ThreadPool& pool = ThreadPool::instance();
  const PanelMatrix w = pack_panels(std::span(&turned, 1), PanelKind::f32, false, pool);
  const PanelSource both[] = {plain, other};
  const PanelMatrix glu = pack_panels(both, PanelKind::f32, true, pool);
  CHECK(glu.n_panels() == 4);
  for (int table = 0; table < n_kernel_tables(); ++table) {
    const Kernels& k = kernel_table(table);
    CAPTURE(k.name);
    Acts acts(k, x, kTokens, kCols);
    std::vector<float> out(kTokens * kRows, 10.0f), gated(kTokens * 32);
    k.matmul(
        {&w, &acts.view, 0, w.n_panels(), kTokens, out.data(), kRows, bias.data(), Epilogue::add});
    k.matmul({&glu, &acts.view, 0, 4, kTokens, gated.data(), 32, nullptr, Epilogue::swiglu});
    for (int64_t t = 0; t < kTokens; ++t)
      for (int64_t r = 0; r < kRows; ++r) {
        CHECK(
            out[static_cast<size_t>(t * kRows + r)] ==
            doctest::Approx(10.0 + dot(a, t, r) + static_cast<double>(bias[static_cast<size_t>(r)]))
                .epsilon(1e-5));
        const double g = dot(a, t, r);
        CHECK(gated[static_cast<size_t>(t * 32 + r)] ==
              doctest::Approx(g / (1 + std::exp(-g)) * dot(b, t, r)).epsilon(1e-5));
      }
  }
}

TEST_CASE("elementwise kernels against double precision") {
  Rng rng(13);
  for (const int64_t n : {32, 64, 160}) {
    const auto x = random_floats(rng, static_cast<size_t>(n), 5.0),
               w = random_floats(rng, static_cast<size_t>(n), 1.0);
    double squares = 0;
    for (const float v : x) squares += static_cast<double>(v) * static_cast<double>(v);
    for (int table = 0; table < n_kernel_tables(); ++table) {
      const Kernels& k = kernel_table(table);
      CAPTURE(k.name);
      std::vector<float> out(x.size());
      k.rms_norm(x.data(), w.data(), n, 1e-5f, out.data());
      for (size_t i = 0; i < x.size(); ++i)
        CHECK(out[i] == doctest::Approx(static_cast<double>(x[i]) * static_cast<double>(w[i]) /
                                        std::sqrt(squares / static_cast<double>(n) + 1e-5))
                            .epsilon(2e-6));
      auto g = x;
      k.gelu(g.data(), n, true);
      for (size_t i = 0; i < x.size(); ++i) {
        const double v = static_cast<double>(x[i]);
        CHECK(std::fabs(g[i] - 0.5 * v *
                                   (1 + std::tanh(std::sqrt(2 / 3.14159265358979) *
                                                  (v + 0.044715 * v * v * v)))) <= 2e-6);
      }
      Acts acts(k, x, 1, n);
      for (size_t i = 0; i < x.size(); ++i)
        CHECK(std::fabs(acts.value(static_cast<int64_t>(i)) - static_cast<double>(x[i])) <=
              static_cast<double>(acts.d[i / 32]) * 1.0001);
      auto e = x;
      e[0] = -std::numeric_limits<float>::infinity();
      k.exponentials(e.data(), n);
      CHECK(e[0] == 0.0f);
      for (size_t i = 1; i < x.size(); ++i)
        CHECK(e[i] == doctest::Approx(std::exp(static_cast<double>(x[i]))).epsilon(2e-7));
      CHECK(k.argmax(x.data(), n) == std::max_element(x.begin(), x.end()) - x.begin());
    }
  }
}
