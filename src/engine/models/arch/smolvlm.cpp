// SmolVLM and Idefics3 (arXiv:2408.12637): a Llama that reads, in place of its image tokens, what a
// SigLIP tower sees, squeezed by a pixel shuffle and projected by one matrix.
#include "engine/core/error.h"
#include "engine/models/llama_like.h"
#include "engine/models/vision_tower.h"

namespace lm {
namespace {

// Tiles of the tower's size. Older files give the sizes of the largest picture only.
ImagePreprocessSpec preprocess(const ModelConfig& c, const ImageInputSpec& image) {
  ImagePreprocessSpec p = read_preprocess(c, image, Resample::lanczos);
  p.longest_edge = 4 * image.image_size;
  p.tiles = true;
  if (!c.preprocessor) return p;
  const ConfigSource& s = *c.preprocessor;
  p.longest_edge = s.integer("size.longest_edge", "").value_or(p.longest_edge);
  p.tiles = s.flag("do_image_splitting", "").value_or(true);
  const int64_t tile = s.integer("max_image_size.longest_edge", "").value_or(image.image_size);
  LM_CHECK(tile == image.image_size, ErrorCode::unsupported,
           "{}: tiles of {} pixels for a model that reads {}; they must agree", s.where(), tile,
           image.image_size);
  LM_CHECK(p.longest_edge >= 1 && p.longest_edge <= 4096, ErrorCode::bad_file,
           "{}: \"size.longest_edge\" is {}; expected 1..4096", s.where(), p.longest_edge);
  return p;
}

std::shared_ptr<const ModelSpec> tower(const ModelConfig& c, const TensorMap& tensors) {
  VisionConfig v = read_vision_config(*c.source, "vision_config.", 1e-6);
  if (v.activation.empty()) v.activation = "gelu_pytorch_tanh";
  auto spec = std::make_shared<ModelSpec>(describe_vision_tower(v, tensors));
  ImageInputSpec& image = *spec->image;
  image.merge = c.source->integer("scale_factor", "").value_or(2);
  const int64_t side = image.image_size / image.patch_size;
  LM_CHECK(image.merge >= 1 && image.merge <= side && side % image.merge == 0, ErrorCode::bad_file,
           "{}: \"scale_factor\" is {}; expected a divisor of {}, the patches in a row",
           c.source->where(), image.merge, side);
  image.projector = linear_spec(tensors, "mm.model.fc");
  image.projected_size = c.hidden_size;
  image.preprocess = preprocess(c, image);
  image.around_text = "<fake_token_around_image>";
  image.whole_text = "<global-img>";
  return spec;
}

ModelSpec describe(const ModelConfig& config, const TensorMap& tensors) {
  ModelConfig c = config;
  // The two configurations, of the whole and of the text model, may disagree about this.
  c.tie_embeddings = !tensors.contains("output.weight");
  ModelSpec spec = describe_llama_like(c, tensors, RopeKind::half);
  spec.vision = tower(c, tensors);
  const int64_t token = c.source->integer("image_token_id", "").value_or(128257);
  LM_CHECK(token >= 0 && token < c.vocab_size, ErrorCode::bad_file,
           "{}: \"image_token_id\" is {}; expected 0..{}", c.source->where(), token,
           c.vocab_size - 1);
  spec.image_token = static_cast<int32_t>(token);
  return spec;
}

std::vector<NameRule> names() {
  std::vector<NameRule> rules = siglip_names();
  rules.push_back({"model.connector.modality_projection.proj.weight", "mm.model.fc.weight"});
  return with_names(std::move(rules), llama_like_names(false));
}

}  // namespace

extern const Arch kArch_smolvlm;
const Arch kArch_smolvlm = {"smolvlm",
                            {"smolvlm", "idefics3"},
                            describe,
                            names(),
                            "SmolVLM, SmolVLM2, Idefics3 (text and images)",
                            false};

}  // namespace lm
