// What models make of images: hidden states, class scores, rows for a text model.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace lm {

class Model;
struct Image;

// What a model sees of a picture, one after the other: [channels, image size, image size] f32 each.
struct PreparedImage {
  std::vector<std::vector<float>> views;
  int64_t rows = 0, columns = 0;  // of tiles, which come first; 0: there is one view only
};

// Resizes, cuts, rescales and normalises as the model's files say; equals transformers' image
// processors that work with Pillow. Throws unsupported for models without image input.
PreparedImage prepare_image(const Model& model, const Image& image);
// What a prompt has in place of the picture: the texts of its special tokens, with an image token
// for each row of ImageEncoder::rows. image_token_text: the placeholder that chat templates write.
std::string image_prompt(const Model& model, const PreparedImage& image);
std::string image_token_text(const Model& model);

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
