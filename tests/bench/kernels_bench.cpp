// Speed of the matrix products on one thread, in processor time: for each kernel table, weight type
// and number of tokens GB/s of weights and GMAC/s, beside what this core can read from memory. One
// JSON line each. Usage: kernels_bench [TYPE ...] [--table NAME] [--rows N] [--cols N]
// With the default size the weights come from memory at one token; --rows 1024 measures in cache.
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "engine/core/aligned_buffer.h"
#include "engine/core/half.h"
#include "engine/core/rng.h"
#include "engine/kernels/cpu/kernels.h"

using namespace lm;

namespace {

struct Options {
  std::vector<DType> types;
  std::string table;
  int64_t rows = 65536, cols = 1024;
};

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    DType type{};
    if (arg == "--table" && i + 1 < argc) {
      o.table = argv[++i];
    } else if (arg == "--rows" && i + 1 < argc) {
      o.rows = std::atoll(argv[++i]);
    } else if (arg == "--cols" && i + 1 < argc) {
      o.cols = std::atoll(argv[++i]);
    } else if (dtype_from_name(arg, &type)) {
      o.types.push_back(type);
    } else {
      fmt::print(stderr, "kernels_bench: \"{}\" is neither a type nor an option\n", arg);
      std::exit(2);
    }
  }
  if (o.types.empty())
    for (int k = 0; k < kPanelKinds; ++k)
      o.types.push_back(panel_format(static_cast<PanelKind>(k)).dtype);
  if (o.rows < 16 || o.cols < 256 || o.cols % 256 != 0) {
    fmt::print(stderr, "kernels_bench: rows are at least 16, cols a multiple of 256\n");
    std::exit(2);
  }
  return o;
}

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

template <typename F>
double best_seconds(F&& work) {
  double best = 1e300;
  const double begin = cpu_seconds();
  for (int i = 0; i < 5 || cpu_seconds() - begin < 0.3; ++i) {
    const double start = cpu_seconds();
    work();
    best = std::min(best, cpu_seconds() - start);
  }
  return best;
}

// Bytes per second of summing 256 MiB.
double read_speed() {
  constexpr size_t kWords = size_t{32} << 20;
  const AlignedBuffer buffer(kWords * 8, true);
  auto* const words = buffer.as<uint64_t>();
  std::fill_n(words, kWords, 1);
  volatile uint64_t sink = 0;
  const double seconds = best_seconds([&] {
    uint64_t sums[4] = {};
    for (size_t i = 0; i < kWords; i += 4) {
      if (i % 8 == 0) __builtin_prefetch(words + i + 1024, 0, 2);  // as the kernels do
      for (size_t j = 0; j < 4; ++j) sums[j] += words[i + j];
    }
    sink = sums[0] + sums[1] + sums[2] + sums[3];
  });
  return static_cast<double>(kWords * 8) / seconds;
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
  Input(const Kernels& k, Rng& rng, int64_t tokens, int64_t cols) {
    const int64_t stride = cols + 64, blocks = cols / kQuantBlock;
    const auto n = static_cast<size_t>(tokens * stride), b = static_cast<size_t>(tokens * blocks);
    x.resize(n), q.resize(n), q_low.resize(n), d.resize(b), dsum.resize(b), sum.resize(2 * b);
    for (float& v : x) v = static_cast<float>(rng.uniform() - 0.5);
    for (int64_t t = 0; t < tokens; ++t)
      k.quantize_row(&x[static_cast<size_t>(t * stride)], cols, &q[static_cast<size_t>(t * stride)],
                     &q_low[static_cast<size_t>(t * stride)], &d[static_cast<size_t>(t * blocks)],
                     &dsum[static_cast<size_t>(t * blocks)],
                     &sum[static_cast<size_t>(2 * t * blocks)]);
    view = {x.data(), q.data(), q_low.data(), d.data(), dsum.data(), sum.data(), cols, stride};
  }
};

void measure(const Kernels& k, const PanelMatrix& w, DType type, int64_t tokens, Rng& rng) {
  const Input in(k, rng, tokens, w.cols);
  std::vector<float> out(static_cast<size_t>(tokens * w.rows));
  const double seconds = best_seconds([&] {
    k.matmul({&w, &in.view, 0, w.n_panels(), tokens, out.data(), w.rows, nullptr, Epilogue::store});
  });
  fmt::print(
      "{{\"table\": \"{}\", \"type\": \"{}\", \"rows\": {}, \"cols\": {}, \"tokens\": {}, "
      "\"gb_per_s\": {:.1f}, \"gmac_per_s\": {:.1f}}}\n",
      k.name, dtype_name(type), w.rows, w.cols, tokens,
      static_cast<double>(w.data.size()) / seconds * 1e-9,
      static_cast<double>(w.rows * w.cols * tokens) / seconds * 1e-9);
}

}  // namespace

int main(int argc, char** argv) {
  const Options o = parse(argc, argv);
  fmt::print("{{\"read_gb_per_s\": {:.1f}}}\n", read_speed() * 1e-9);
  Rng rng(1);
  for (const DType type : o.types) {
    const std::vector<std::byte> bytes = random_weights(rng, type, o.rows * o.cols);
    const PanelSource source{{bytes.data(), type, {o.rows, o.cols}}, false};
    const PanelMatrix w =
        pack_panels({&source, 1}, panel_kind_for(type), false, ThreadPool::instance());
    for (int i = 0; i < n_kernel_tables(); ++i) {
      const Kernels& k = kernel_table(i);
      if (!o.table.empty() && o.table != k.name) continue;
      for (const int64_t tokens : {1, 4, 8, 512}) {
        if (o.rows * o.cols * tokens > int64_t{1} << 30) continue;
        measure(k, w, type, tokens, rng);
      }
    }
  }
  return 0;
}
