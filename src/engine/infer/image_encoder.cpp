#include <algorithm>

#include "engine/api/model.h"
#include "engine/api/vision.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/infer/forward.h"
#include "engine/infer/image_spec.h"
#include "engine/infer/pooled.h"

namespace lm {
namespace {

// [patches, channels * p * p] of [channels, size, size]; patches in rows.
std::vector<float> cut_patches(const ImageInputSpec& image, std::span<const float> pixels) {
  const int64_t p = image.patch_size, side = image.image_size / p, size = image.image_size;
  std::vector<float> out;
  out.reserve(static_cast<size_t>(image.n_patches() * image.patch_values()));
  for (int64_t row = 0; row < side; ++row)
    for (int64_t column = 0; column < side; ++column)
      for (int64_t channel = 0; channel < image.n_channels; ++channel)
        for (int64_t y = 0; y < p; ++y) {
          const auto line = pixels.begin() + (channel * size + row * p + y) * size + column * p;
          out.insert(out.end(), line, line + p);
        }
  return out;
}

// Pixel shuffle: [side * side, c] to [(side / m)^2, m * m * c]; a row has its m x m neighbours in
// rows.
std::vector<float> merge_neighbours(std::span<const float> hidden, int64_t side, int64_t m,
                                    int64_t c) {
  std::vector<float> out;
  out.reserve(hidden.size());
  for (int64_t y = 0; y < side; y += m)
    for (int64_t x = 0; x < side; x += m)
      for (int64_t inner = 0; inner < m; ++inner) {
        const auto line = hidden.begin() + ((y + inner) * side + x) * c;
        out.insert(out.end(), line, line + m * c);
      }
  return out;
}

}  // namespace

const ModelSpec& image_spec(const Model& model) {
  const ModelSpec& spec = model.spec();
  LM_CHECK(spec.image || spec.vision, ErrorCode::unsupported,
           "the model \"{}\" reads texts only; it cannot see images", model.info().name);
  return spec.vision ? *spec.vision : spec;
}

struct ImageEncoder::Impl {
  std::shared_ptr<const Model> model;
  const ModelSpec& spec;
  const ModelWeights& weights;
  const ImageInputSpec& image;
  KvPages pages;  // f32 keys and values: they live for one image only
  SequenceState state;
  Forward forward;

  explicit Impl(std::shared_ptr<const Model> m)
      : model(std::move(m)),
        spec(image_spec(*model)),
        weights(model->spec().vision ? *model->weights().vision : model->weights()),
        image(*spec.image),
        pages(spec, KvType::f32, pages_for(image.n_tokens())),
        state(spec, pages),
        forward(spec, weights, pages, image.n_tokens(), image.n_tokens()) {}

  std::vector<float> encode(std::span<const float> pixels, const AdapterSet* adapters) {
    const int64_t c = spec.hidden_size, n = image.n_tokens();
    const int64_t wanted = image.n_channels * image.image_size * image.image_size;
    LM_CHECK(static_cast<int64_t>(pixels.size()) == wanted, ErrorCode::bad_option,
             "{} pixel values; expected {} ({} channels of {} x {})", pixels.size(), wanted,
             image.n_channels, image.image_size, image.image_size);
    check_interrupt();
    std::vector<float> patches(static_cast<size_t>(image.n_patches() * c));
    forward.multiply(weights.image.patch, cut_patches(image, pixels), adapters, patches.data());
    std::vector<const float*> embeddings;
    if (!weights.image.class_token.empty()) embeddings.push_back(weights.image.class_token.data());
    for (int64_t i = 0; i < image.n_patches(); ++i) embeddings.push_back(patches.data() + i * c);
    const std::vector<int32_t> tokens(embeddings.size());  // their rows are all given
    std::vector<float> hidden(static_cast<size_t>(n * c));
    Segment segment;
    segment.state = &state;
    segment.tokens = tokens;
    segment.embeddings = embeddings;
    segment.hidden = hidden.data();
    segment.adapters = adapters;
    forward.begin(adapters, state);
    state.prepare(0, n);
    forward.eval({&segment, 1}, nullptr);
    return hidden;
  }
};

ImageEncoder::ImageEncoder(std::shared_ptr<const Model> model)
    : impl_(std::make_unique<Impl>(std::move(model))) {}
ImageEncoder::~ImageEncoder() = default;

std::vector<float> ImageEncoder::hidden(std::span<const float> pixels) {
  return impl_->encode(pixels, impl_->model->adapters().get());
}

std::vector<float> ImageEncoder::scores(std::span<const float> pixels) {
  const Impl& s = *impl_;
  LM_CHECK(s.spec.head.has_value(), ErrorCode::unsupported,
           "the model \"{}\" has no classification head", s.model->info().name);
  return run_head(*s.spec.head, s.weights.head, hidden(pixels), s.spec.hidden_size);
}

std::vector<float> ImageEncoder::rows(std::span<const float> pixels) {
  Impl& s = *impl_;
  LM_CHECK(s.image.projector.has_value(), ErrorCode::unsupported,
           "the model \"{}\" has no text model that could read its image rows",
           s.model->info().name);
  const auto adapters = s.model->adapters();
  const std::vector<float> hidden = s.encode(pixels, adapters.get());
  std::vector<float> out(static_cast<size_t>(s.image.n_rows() * s.image.projected_size));
  s.forward.multiply(s.weights.image.projector,
                     merge_neighbours(hidden, s.image.image_size / s.image.patch_size,
                                      s.image.merge, s.spec.hidden_size),
                     adapters.get(), out.data());
  return out;
}

}  // namespace lm
