#include "engine/export/changed_tensors.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "engine/core/error.h"
#include "engine/core/half.h"
#include "engine/core/thread_pool.h"
#include "engine/export/hf_copy.h"
#include "engine/export/hf_folder.h"
#include "engine/formats/adapter.h"
#include "engine/kernels/cpu/to_f32.h"
#include "engine/models/adapter_names.h"
#include "engine/models/adapter_rows.h"

namespace lm {
namespace {

std::vector<std::byte> stored_as(DType type, const std::vector<float>& values) {
  std::vector<std::byte> out(values.size() * (type == DType::f32 ? 4 : 2));
  if (type == DType::f32) {
    std::memcpy(out.data(), values.data(), out.size());
    return out;
  }
  auto* to = reinterpret_cast<uint16_t*>(out.data());
  std::transform(values.begin(), values.end(), to,
                 type == DType::bf16 ? float_to_bf16 : float_to_half);
  return out;
}

// W += scale * (diag(out_factor) (base + t.scale B A) - base), or its transpose; rows are shared
// out among threads. base: W before any adapter.
class Merging {
 public:
  Merging(const AdapterTensor& t, float scale, bool turned, const TensorView& base)
      : t_(t), scale_(scale), turned_(turned) {
    if (t.out_factor.empty()) return;
    base_.resize(static_cast<size_t>(base.numel()));
    to_f32(base, 0, base.numel(), base_.data());
  }

  void add_to(std::span<float> w) const {
    const int64_t rows = turned_ ? static_cast<int64_t>(w.size()) / t_.out : t_.out;
    const int64_t cols = static_cast<int64_t>(w.size()) / rows;
    ThreadPool::instance().run([&](Region& region) {
      region.share(rows, 16, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          float* row = w.data() + r * cols;
          if (!base_.empty()) add_scaled(base_.data() + r * cols, r, cols, row);
          for (int64_t k = 0; k < t_.rank; ++k) add_product(k, r, cols, row);
        }
      });
    });
  }

 private:
  float factor(int64_t out) const {
    return t_.out_factor.empty() ? 1.0f : t_.out_factor[static_cast<size_t>(out)];
  }
  void add_scaled(const float* base, int64_t r, int64_t cols, float* row) const {
    for (int64_t c = 0; c < cols; ++c)
      row[c] += scale_ * (factor(turned_ ? c : r) - 1.0f) * base[c];
  }
  void add_product(int64_t k, int64_t r, int64_t cols, float* row) const {
    const float* a = t_.a.data() + k * t_.in;
    const auto b = [&](int64_t out) {
      return scale_ * t_.scale * factor(out) * t_.b[static_cast<size_t>(out * t_.rank + k)];
    };
    if (turned_) {
      for (int64_t c = 0; c < cols; ++c) row[c] += b(c) * a[r];
    } else {
      const float one = b(r);
      for (int64_t c = 0; c < cols; ++c) row[c] += one * a[c];
    }
  }

  const AdapterTensor& t_;
  float scale_;
  bool turned_;
  std::vector<float> base_;
};

// IA3 scales biases, too.
void merge_bias(const AdapterTensor& t, float scale, const TensorMap& base, ChangedTensors* out) {
  const std::string name = t.name.substr(0, t.name.rfind(".weight")) + ".bias";
  const auto it = base.find(name);
  if (t.rank > 0 || it == base.end()) return;
  std::vector<float> before(static_cast<size_t>(it->second.numel()));
  to_f32(it->second, 0, it->second.numel(), before.data());
  out->change(base, name, [&](std::span<float> bias, int64_t) {
    for (size_t i = 0; i < bias.size(); ++i)
      bias[i] += scale * (t.out_factor[i] - 1.0f) * before[i];
  });
}

}  // namespace

void ChangedTensors::change(const TensorMap& file, const std::string& name,
                            const std::function<void(std::span<float>, int64_t)>& f) {
  const auto changed = views_.find(name);
  const auto it = changed != views_.end() ? changed : file.find(name);
  LM_CHECK(changed != views_.end() || it != file.end(), ErrorCode::bad_file,
           "the model has no tensor \"{}\"", name);
  const TensorView& view = it->second;
  check_to_f32(view.dtype);
  std::vector<float> values(static_cast<size_t>(view.numel()));
  to_f32(view, 0, view.numel(), values.data());
  f(values, view.cols());
  set(name, view.dtype, values, Shape(view.shape));
}

void ChangedTensors::set(const std::string& name, DType file_type, const std::vector<float>& values,
                         const Shape& shape) {
  const DType type = file_type == DType::f32 || file_type == DType::bf16 ? file_type : DType::f16;
  storage_.push_back(stored_as(type, values));
  views_[name] = TensorView{storage_.back().data(), type, shape};
}

TensorMap ChangedTensors::over(TensorMap file) const {
  for (const auto& [name, view] : views_) file[name] = view;
  return file;
}

void merge_adapters(const OpenedModel& model, const std::vector<AdapterToMerge>& adapters,
                    ChangedTensors* out) {
  const Arch& arch = find_arch(model.config.architecture);
  for (const AdapterToMerge& one : adapters) {
    Adapter adapter = open_adapter(one.path);
    LM_CHECK(adapter.virtual_tokens.n == 0, ErrorCode::unsupported,
             "adapter \"{}\" is made of virtual tokens, which cannot be merged into weights; "
             "m:add_adapter uses them",
             one.path);
    fit_adapter(&adapter, arch, model.config, model.file.tensors);
    resolve_magnitudes(&adapter, arch, model.config, model.file.tensors);
    const auto scale = static_cast<float>(one.scale);
    for (const AdapterTensor& t : adapter.tensors) {
      const TensorView& base = model.file.tensors.at(t.name);
      const Merging merging(t, scale, is_stored_transposed(arch, model.config, t.name), base);
      out->change(model.file.tensors, t.name,
                  [&](std::span<float> w, int64_t) { merging.add_to(w); });
      merge_bias(t, scale, model.file.tensors, out);
    }
  }
}

std::vector<std::string> write_changed_model(const std::string& from, const ChangedTensors& changed,
                                             const std::string& folder) {
  WriteOptions write;
  write.max_file_bytes = 5'000'000'000;
  std::vector<std::pair<DType, int64_t>> counts;
  if (std::filesystem::is_directory(from) && std::filesystem::exists(from + "/config.json"))
    return copy_hf_folder(from, std::nullopt, folder, write, &counts, &changed.views());
  const auto file = std::make_shared<const GgufFile>(GgufFile::open(from));
  TensorMap tensors;
  for (const std::string& name : file->tensor_names()) tensors.emplace(name, *file->tensor(name));
  return write_hf_folder(file, changed.over(std::move(tensors)), std::nullopt, folder, write,
                         &counts);
}

}  // namespace lm
