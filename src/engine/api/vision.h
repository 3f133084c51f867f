// What models make of images: hidden states, class scores, rows for a text model.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace lm {

class Model;

// Evaluates images with a model that reads images, or with the vision tower of a text model. Used
// by one thread at a time.
class ImageEncoder {
 public:
  // Throws unsupported for models without image input.
  explicit ImageEncoder(std::shared_ptr<const Model> model);
  ~ImageEncoder();
  ImageEncoder(const ImageEncoder&) = delete;
  ImageEncoder& operator=(const ImageEncoder&) = delete;

  // Pixels of one image: [channels, image size, image size] f32, rescaled and normalised as the
  // model was trained. All throw bad_option for another number of them; interrupted.
  //
  // Hidden states after the final norm, [T, C]: of the class token, where there is one, then of the
  // patches in rows.
  std::vector<float> hidden(std::span<const float> pixels);
  // The outputs of the classification head, [labels]. Throws unsupported for models without one.
  std::vector<float> scores(std::span<const float> pixels);
  // What stands for the image in the text model, [n, hidden size of the text model]: see
  // Context::set_image_rows. Throws unsupported for models without a text model.
  std::vector<float> rows(std::span<const float> pixels);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lm
