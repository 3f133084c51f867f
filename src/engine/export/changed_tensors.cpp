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

// W += scale B A, or its transpose; rows are shared out among threads.
void add_product(const AdapterTensor& t, float scale, bool turned, std::span<float> w) {
  const int64_t rows = turned ? t.in : t.out, cols = turned ? t.out : t.in;
  ThreadPool::instance().run([&](Region& region) {
    region.share(rows, 16, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        for (int64_t k = 0; k < t.rank; ++k) {
          const float* a = t.a.data() + k * t.in;
          float* row = w.data() + r * cols;
          if (turned) {
            for (int64_t c = 0; c < cols; ++c)
              row[c] += scale * t.b[static_cast<size_t>(c * t.rank + k)] * a[r];
          } else {
            const float b = scale * t.b[static_cast<size_t>(r * t.rank + k)];
            for (int64_t c = 0; c < cols; ++c) row[c] += b * a[c];
          }
        }
    });
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
    fit_adapter(&adapter, arch, model.config, model.file.tensors);
    for (const AdapterTensor& t : adapter.tensors)
      out->change(model.file.tensors, t.name, [&](std::span<float> w, int64_t) {
        add_product(t, static_cast<float>(one.scale) * t.scale,
                    is_stored_transposed(arch, model.config, t.name), w);
      });
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
