#include "engine/models/spec_traits.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace lm {
namespace {

class Collector {
 public:
  SpecTraits out;

  void add(const char* name, double value) { out.emplace_back(where_ + name, value); }
  template <typename T>
  void add_all(const char* name, const std::vector<T>& values) {
    add(name, static_cast<double>(values.size()));
    for (const T& v : values) add(name, static_cast<double>(v));
  }
  void in(std::string where) { where_ = std::move(where); }

  void norm(const char* name, const NormSpec& n) {
    add(name, static_cast<double>(n.kind));
    if (n.kind != NormKind::none) add(name, static_cast<double>(n.eps));
  }
  void linear(const char* name, const LinearSpec& l) { add(name, static_cast<double>(l.scale)); }

  void op(const AttentionSpec& a) {
    add("heads", static_cast<double>(a.n_heads));
    add("kv heads", static_cast<double>(a.n_kv_heads));
    add("head size", static_cast<double>(a.head_dim));
    add("value size", static_cast<double>(a.value_dim));
    for (const LinearSpec& l : a.qkv) linear("qkv scale", l);
    linear("output scale", a.output);
    norm("q norm", a.q_norm);
    norm("k norm", a.k_norm);
    add("norm over all heads", a.norm_whole);
    norm("norm of the heads' results", a.result_norm);
    add("rotated size", static_cast<double>(a.rope.dim));
    add("rotated offset", static_cast<double>(a.rope.offset));
    add_all("rotation", a.rope.frequencies);
    add_all("long rotation", a.rope.long_frequencies);
    add("rotation magnitude", static_cast<double>(a.rope.magnitude));
    add("rotation limit", static_cast<double>(a.rope.limit));
    add("rotation ntk", a.rope.ntk_base * a.rope.ntk_factor);
    add("causal", a.causal);
    add("window", static_cast<double>(a.window));
    add("sinks", static_cast<double>(a.n_sink));
    add("attention soft cap", static_cast<double>(a.softcap));
    add("attention scale", static_cast<double>(a.scale));
    add("kv of layer", static_cast<double>(a.kv_from));
    add("cross-attention", a.cross);
    add("position buckets", static_cast<double>(a.n_buckets));
    add("position distance", static_cast<double>(a.max_distance));
    if (!a.latent) return;
    add("q rank", static_cast<double>(a.latent->q_rank));
    add("kv rank", static_cast<double>(a.latent->kv_rank));
    norm("latent norm", a.latent->kv_norm);
  }
  void op(const MlpSpec& m) {
    add("gated", m.gated);
    add("activation", static_cast<double>(m.activation));
    add("feed-forward size", static_cast<double>(m.size));
    linear("gate scale", m.gate);
    linear("up scale", m.up);
    linear("down scale", m.down);
  }
  void op(const MoeSpec& m) {
    add("router", static_cast<double>(m.router));
    add("experts", static_cast<double>(m.experts.size()));
    add("experts used", static_cast<double>(m.n_used));
    add("expert weights normalised", m.renormalize);
    add("expert scale", static_cast<double>(m.scale));
    add("expert groups", static_cast<double>(m.n_groups));
    add("expert groups used", static_cast<double>(m.n_groups_used));
    add("router jitter", static_cast<double>(m.jitter));
    if (!m.experts.empty()) op(m.experts[0]);
    add("shared expert", m.shared.has_value());
    if (m.shared) op(*m.shared);
    add("shared expert's gate", m.shared_gate.has_value());
  }
  void op(const SsmSpec& s) {
    add("inner size", static_cast<double>(s.inner_size));
    add("state size", static_cast<double>(s.state_size));
    add("state heads", static_cast<double>(s.n_heads));
    add("state groups", static_cast<double>(s.n_groups));
    add("convolution", static_cast<double>(s.conv_size));
    add("dt rank", static_cast<double>(s.dt_rank));
    add("dt minimum", static_cast<double>(s.dt_min));
    add("dt maximum", static_cast<double>(s.dt_max));
    for (const LinearSpec& l : s.in) linear("state input scale", l);
    norm("dt norm", s.dt_norm);
    norm("b norm", s.b_norm);
    norm("c norm", s.c_norm);
    norm("state norm", s.norm);
    add("state norm groups", static_cast<double>(s.norm_groups));
    add("state norm before gate", s.norm_before_gate);
  }
  void op(const TimeMixSpec& t) {
    add("time mixing version", t.version);
    add("time mixing heads", static_cast<double>(t.n_heads));
    add("time mixing head size", static_cast<double>(t.head_size));
    norm("time mixing norm", t.norm);
  }
  void op(const ChannelMixSpec& m) {
    add("channel mixing size", static_cast<double>(m.size));
    add("channel mixing receptance", m.receptance.has_value());
  }

  void model(const ModelSpec& s, const std::string& prefix) {
    in(prefix);
    add("hidden size", static_cast<double>(s.hidden_size));
    add("vocabulary", static_cast<double>(s.vocab_size));
    add("context", static_cast<double>(s.context_length));
    add("embedding scale", static_cast<double>(s.embedding_scale));
    add("learned positions", !s.positions.empty());
    add("first position", static_cast<double>(s.position_offset));
    add("token types", !s.token_types.empty());
    add("meta tokens", static_cast<double>(s.n_meta));
    norm("embedding norm", s.embedding_norm);
    norm("final norm", s.final_norm);
    add("output", s.output.has_value());
    add("logit scale", static_cast<double>(s.logit_scale));
    add("logit soft cap", static_cast<double>(s.logit_softcap));
    add("pooling", static_cast<double>(s.pooling));
    add("head", s.head.has_value());
    add("layers", static_cast<double>(s.layers.size()));
    add("decoder start", static_cast<double>(s.decoder_start));
    for (size_t i = 0; i < s.layers.size(); ++i)
      for (const Block& block : s.layers[i]) {
        in(fmt::format("{}layer {} ", prefix, i));
        norm("block norm", block.out_norm);
        for (const Branch& b : block.branches) {
          norm("norm", b.norm);
          norm("norm after", b.post_norm);
          add("branch scale", static_cast<double>(b.scale));
          add("kind", static_cast<double>(b.op.index()));
          std::visit([&](const auto& x) { op(x); }, b.op);
        }
      }
    if (s.head) {
      in(prefix + "head ");
      add("pooling", static_cast<double>(s.head->pooling));
      add("dense", s.head->dense.has_value());
      add("activation", static_cast<double>(s.head->activation));
      norm("norm", s.head->norm);
    }
    if (s.image) {
      in(prefix + "image ");
      add("size", static_cast<double>(s.image->image_size));
      add("patch size", static_cast<double>(s.image->patch_size));
      add("channels", static_cast<double>(s.image->n_channels));
      add("class token", !s.image->class_token.empty());
      add("merge", static_cast<double>(s.image->merge));
    }
    if (s.encoder) model(*s.encoder, prefix + "encoder ");
    if (s.vision) model(*s.vision, prefix + "vision ");
  }

 private:
  std::string where_;
};

}  // namespace

SpecTraits spec_traits(const ModelSpec& spec) {
  Collector c;
  c.model(spec, "");
  return std::move(c.out);
}

std::string spec_difference(const ModelSpec& a, const ModelSpec& b) {
  const SpecTraits x = spec_traits(a), y = spec_traits(b);
  for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    if (x[i].first != y[i].first) return fmt::format("{} and {}", x[i].first, y[i].first);
    const double size = std::max(std::fabs(x[i].second), std::fabs(y[i].second));
    if (!(std::fabs(x[i].second - y[i].second) <= 1e-5 * size))
      return fmt::format("{}: {} and {}", x[i].first, x[i].second, y[i].second);
  }
  return x.size() == y.size() ? "" : "the number of parts";
}

}  // namespace lm
