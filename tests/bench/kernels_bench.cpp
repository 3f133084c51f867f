// Speed of every kernel on one thread, beside what this core can read from memory
// (google-benchmark; its options work, e.g. --benchmark_filter='avx512/q4_k').
// matmul/TABLE/TYPE/PLANES/ROWS/TOKENS: 1,024 columns; 65,536 rows come from memory with one token,
// 1,024 stay in cache. GB/s are bytes of weights (matmul), of keys and values (attention) or of the
// row; GMAC/s multiply-adds.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstring>
#include <memory>
#include <vector>

#include "engine/core/aligned_buffer.h"
#include "engine/core/half.h"
#include "engine/core/rng.h"
#include "engine/kernels/cpu/kernels.h"

using namespace lm;

namespace {

constexpr int64_t kCols = 1024;

void rate(benchmark::State& state, double bytes, double products) {
  using benchmark::Counter;
  const auto per_second = [&](double n) {
    return Counter(n * 1e-9 * static_cast<double>(state.iterations()), Counter::kIsRate);
  };
  if (bytes > 0) state.counters["GB/s"] = per_second(bytes);
  if (products > 0) state.counters["GMAC/s"] = per_second(products);
}

// Sums 256 MiB: the machine's peak for one core.
void read_memory(benchmark::State& state) {
  constexpr size_t kWords = size_t{32} << 20;
  const AlignedBuffer buffer(kWords * 8, true);
  auto* const words = buffer.as<uint64_t>();
  std::fill_n(words, kWords, 1);
  for (auto _ : state) {
    uint64_t sums[4] = {};
    for (size_t i = 0; i < kWords; i += 4) {
      if (i % 8 == 0) __builtin_prefetch(words + i + 1024, 0, 2);  // as the kernels do
      for (size_t j = 0; j < 4; ++j) sums[j] += words[i + j];
    }
    benchmark::DoNotOptimize(sums);
  }
  rate(state, kWords * 8, 0);
}

// Codes and scales at random without NaNs; plain numbers of usual size.
std::vector<std::byte> random_weights(Rng& rng, DType type, int64_t n) {
  std::vector<std::byte> bytes(static_cast<size_t>(dtype_bytes(type, n)));
  if (is_quantized(type)) {
    for (auto& b : bytes) b = static_cast<std::byte>(rng.next() & 0x3b);
    return bytes;
  }
  const auto size = static_cast<size_t>(dtype_info(type).block_bytes);
  for (size_t at = 0; at < bytes.size(); at += size) {
    const auto x = static_cast<float>(rng.uniform() - 0.5);
    const uint16_t half = type == DType::f16 ? float_to_half(x) : float_to_bf16(x);
    std::memcpy(&bytes[at], size == 4 ? static_cast<const void*>(&x) : &half, size);
  }
  return bytes;
}

struct Input {
  std::vector<float> x, d, dsum;
  std::vector<int8_t> q, q_low;
  std::vector<int32_t> sum;
  Activations view;
  Input(const Kernels& k, Rng& rng, int64_t tokens, int64_t cols, int planes) {
    const int64_t stride = cols + 64, blocks = cols / kQuantBlock;
    const auto n = static_cast<size_t>(tokens * stride), b = static_cast<size_t>(tokens * blocks);
    x.resize(n), q.resize(n), q_low.resize(n), d.resize(b), dsum.resize(b), sum.resize(2 * b);
    for (float& v : x) v = static_cast<float>(rng.uniform() - 0.5);
    for (int64_t t = 0; t < tokens; ++t)
      k.quantize_row(&x[static_cast<size_t>(t * stride)], cols, &q[static_cast<size_t>(t * stride)],
                     planes == 2 ? &q_low[static_cast<size_t>(t * stride)] : nullptr,
                     &d[static_cast<size_t>(t * blocks)], &dsum[static_cast<size_t>(t * blocks)],
                     &sum[static_cast<size_t>(2 * t * blocks)]);
    view = {x.data(), q.data(),    planes == 2 ? q_low.data() : nullptr,
            d.data(), dsum.data(), sum.data(),
            cols,     stride};
  }
};

// One matrix for all tables and numbers of tokens that use it in turn.
const PanelMatrix& matrix(DType type, int64_t rows) {
  static std::unique_ptr<PanelMatrix> kept;
  static std::pair<DType, int64_t> key;
  if (kept && key == std::pair(type, rows)) return *kept;
  Rng rng(1);
  const std::vector<std::byte> bytes = random_weights(rng, type, rows * kCols);
  const PanelSource source{{bytes.data(), type, {rows, kCols}}, false};
  kept = std::make_unique<PanelMatrix>(
      pack_panels({&source, 1}, panel_kind_for(type), false, ThreadPool::instance()));
  key = {type, rows};
  return *kept;
}

void matmul(benchmark::State& state, const Kernels& k, DType type, int64_t rows, int64_t tokens,
            int planes) {
  const PanelMatrix& w = matrix(type, rows);
  Rng rng(2);
  const Input in(k, rng, tokens, kCols, planes);
  std::vector<float> out(static_cast<size_t>(tokens * rows));
  for (auto _ : state)
    k.matmul({&w, &in.view, 0, w.n_panels(), tokens, out.data(), rows, nullptr, Epilogue::store});
  rate(state, static_cast<double>(w.data.size()), static_cast<double>(rows * kCols * tokens));
}

// One chunk of 256 keys of one kv head of 64, for `m` query rows.
void attention(benchmark::State& state, const Kernels& k, KvType type, int64_t m) {
  constexpr int64_t kDim = 64, kPages = kAttentionChunk / kPageTokens;
  const int64_t area = kv_key_bytes(type, kDim);
  const AlignedBuffer cache(static_cast<size_t>(2 * area * kPages));
  std::vector<const std::byte*> pages;
  std::vector<float> x(kDim, 0.5f), scores(kAttentionRows * kAttentionChunk),
      out(kAttentionRows * kDim), largest(kAttentionRows), sum(kAttentionRows);
  for (int64_t p = 0; p < kPages; ++p) {
    std::byte* page = cache.data() + 2 * area * p;
    pages.push_back(page);
    for (int64_t slot = 0; slot < kPageTokens; ++slot)
      k.store_kv({x.data(), x.data(), kDim, kDim, type, slot, page, page + area});
  }
  const std::vector<const float*> q(kAttentionRows, x.data());
  std::vector<float*> rows;
  for (int64_t r = 0; r < kAttentionRows; ++r) rows.push_back(&out[static_cast<size_t>(r * kDim)]);
  const std::vector<int64_t> n_keys(kAttentionRows, kAttentionChunk), first(kAttentionRows, 0);
  AttentionArgs args;
  args.q = q.data(), args.pages = pages.data(), args.v_offset = area, args.kv_type = type;
  args.head_dim = args.value_dim = kDim, args.m = m;
  args.n_keys = n_keys.data(), args.first_key = first.data();
  args.scores = scores.data(), args.out = rows.data();
  args.largest = largest.data(), args.sum = sum.data();
  for (auto _ : state) k.attention(args);
  rate(state, static_cast<double>(2 * area * kPages),
       static_cast<double>(2 * m * kAttentionChunk * kDim));
}

template <typename F>
void row(const std::string& name, F&& work) {
  benchmark::RegisterBenchmark(name.c_str(), [work](benchmark::State& state) {
    std::vector<float> x(kCols, 0.5f), out(kCols);
    for (auto _ : state) work(x.data(), out.data());
    rate(state, kCols * 4, 0);
  });
}

void register_rows(const Kernels& k) {
  const auto name = [&](const char* op) { return fmt::format("{}/{}", op, k.name); };
  static const std::vector<float> ones(kCols, 1.0f);
  row(name("rms_norm"), [&k](float* x, float* y) { k.rms_norm(x, ones.data(), kCols, 1e-5f, y); });
  row(name("layer_norm"),
      [&k](float* x, float* y) { k.layer_norm(x, ones.data(), ones.data(), kCols, 1e-5f, y); });
  row(name("silu"), [&k](float* x, float*) { k.silu(x, kCols); });
  row(name("gelu"), [&k](float* x, float*) { k.gelu(x, kCols, true); });
  row(name("rope"), [&k](float* x, float*) { k.rope(x, kCols, ones.data(), ones.data(), true); });
  row(name("argmax"), [&k](float* x, float*) { benchmark::DoNotOptimize(k.argmax(x, kCols)); });
  for (const int planes : {1, 2})
    row(fmt::format("quantize_row/{}/{}", k.name, planes), [&k, planes](float* x, float*) {
      static int8_t q[kCols], low[kCols];
      static float d[kCols / 32], dsum[kCols / 32];
      static int32_t sum[kCols / 16];
      k.quantize_row(x, kCols, q, planes == 2 ? low : nullptr, d, dsum, sum);
    });
}

void register_all() {
  benchmark::RegisterBenchmark("read_memory", read_memory);
  for (int kind = 0; kind < kPanelKinds; ++kind)
    for (const int64_t rows : {int64_t{65536}, int64_t{1024}})
      for (int i = 0; i < n_kernel_tables(); ++i)
        for (const int planes : {1, 2})
          for (const int64_t tokens : {1, 4, 8, 512}) {
            if (rows > 1024 && tokens > 8) continue;
            const DType type = panel_format(static_cast<PanelKind>(kind)).dtype;
            if (planes == 1 && !is_quantized(type)) continue;
            const Kernels& k = kernel_table(i);
            const auto name = fmt::format("matmul/{}/{}/{}/{}/{}", k.name, dtype_name(type), planes,
                                          rows, tokens);
            benchmark::RegisterBenchmark(name.c_str(), [=, &k](benchmark::State& state) {
              matmul(state, k, type, rows, tokens, planes);
            });
          }
  constexpr std::pair<KvType, const char*> kTypes[] = {{KvType::f32, "f32"},
                                                       {KvType::f16, "f16"},
                                                       {KvType::bf16, "bf16"},
                                                       {KvType::int8, "int8"},
                                                       {KvType::int4, "int4"}};
  for (int i = 0; i < n_kernel_tables(); ++i) {
    const Kernels& k = kernel_table(i);
    for (const auto& [type, type_name] : kTypes)
      for (const int64_t m : {1, 3, 8})
        benchmark::RegisterBenchmark(
            fmt::format("attention/{}/{}/{}", k.name, type_name, m).c_str(),
            [&k, type = type, m](benchmark::State& state) { attention(state, k, type, m); });
    register_rows(k);
  }
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  register_all();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
