#include "model/vocos/vocoder.h"

#include <utility>
#include <vector>

#include "model/constant_weight.h"
#include "model/fourier.h"
#include "ops/program.h"

namespace ttsrt::model::vocos {
namespace {

constexpr float kEpsilon = 1e-6F;
constexpr std::int32_t kTaps = 7;

std::string layer_prefix(const std::string& prefix, std::int32_t layer) {
  return prefix + "layers." + std::to_string(layer) + ".";
}

class VocoderWriter {
 public:
  VocoderWriter(const Weights& weights, const std::string& prefix, const Config& config)
      : weights_(weights), prefix_(prefix), config_(config) {
    program_.name = "vocoder";
  }

  ops::Program write(bool trace) {
    const ops::BufferId mel = program_.add("mel", config_.mel_bins);
    const ops::BufferId unfolded = program_.add("unfolded", std::int64_t{kTaps} * config_.mel_bins);
    const ops::BufferId embedded = program_.add("embedded", config_.dim);
    x_ = program_.add("x", config_.dim);
    convolved_ = program_.add("convolved", config_.dim);
    normed_ = program_.add("normed", config_.dim);
    hidden_ = program_.add("hidden", config_.ffn_dim);
    ops::EmbedRows embed;
    embed.out = mel;
    program_.ops.emplace_back(embed);
    program_.ops.emplace_back(ops::Unfold{mel, unfolded, kTaps, false, -1});
    program_.ops.emplace_back(ops::Linear{unfolded, embedded, at("embed"), at("embed_bias")});
    norm(embedded, x_, "norm");
    for (std::int32_t l = 0; l < config_.layers; ++l) layer(layer_prefix("", l));
    norm(x_, normed_, "final_norm");
    if (trace) program_.taps.push_back({"vocoder.embed", embedded});
    sound(trace);
    return std::move(program_);
  }

 private:
  ops::Weight at(const std::string& name) const { return weights_.at(prefix_ + name); }

  void norm(ops::BufferId x, ops::BufferId out, const std::string& name) {
    program_.ops.emplace_back(
        ops::Norm{x, out, at(name), kEpsilon, ops::NormKind::layer, at(name + "_bias")});
  }

  void layer(const std::string& name) {
    program_.end_part();
    program_.ops.emplace_back(
        ops::DepthwiseConv{x_, convolved_, at(name + "conv"), at(name + "conv_bias")});
    norm(convolved_, normed_, name + "norm");
    program_.ops.emplace_back(ops::Linear{normed_, hidden_, at(name + "ffn_in"),
                                          at(name + "ffn_in_bias"), ops::Activate::gelu});
    program_.ops.emplace_back(ops::Linear{hidden_, x_, at(name + "ffn_out"),
                                          at(name + "ffn_out_bias"), ops::Activate::none, true});
  }

  // From the normed rows to samples.
  void sound(bool trace) {
    const ops::BufferId polar = program_.add("polar", config_.head_width());
    const ops::BufferId spectrum = program_.add("spectrum", config_.head_width());
    const ops::BufferId frames = program_.add("frames", config_.n_fft);
    const ops::BufferId samples = program_.add("samples", config_.hop);
    program_.ops.emplace_back(ops::Linear{normed_, polar, at("head"), at("head_bias")});
    program_.ops.emplace_back(ops::PolarSpectrum{polar, spectrum});
    const std::vector<float> window = hann(config_.n_fft);
    ops::Weight transform;
    transform.layout = ops::Layout::panel16;
    transform.rows = config_.n_fft;
    transform.cols = config_.head_width();
    transform = keep_constant(program_, "inverse transform",
                              inverse_transform(config_.n_fft, window), transform);
    program_.ops.emplace_back(ops::Linear{spectrum, frames, transform, {}});
    ops::Weight shape;
    shape.rows = 1;
    shape.cols = config_.n_fft;
    program_.ops.emplace_back(ops::OverlapAdd{
        frames, samples, keep_constant(program_, "window", window, shape), config_.trim()});
    program_.ops.emplace_back(ops::EmitRows{samples});
    if (trace) program_.taps.push_back({"vocoder.head", polar});
  }

  const Weights& weights_;
  const std::string& prefix_;
  const Config& config_;
  ops::Program program_;
  ops::BufferId x_ = ops::kNoBuffer;
  ops::BufferId convolved_ = ops::kNoBuffer;
  ops::BufferId normed_ = ops::kNoBuffer;
  ops::BufferId hidden_ = ops::kNoBuffer;
};

}  // namespace

void declare_vocoder(Manifest& manifest, const std::string& prefix, const Config& config) {
  const std::int64_t dim = config.dim;
  const std::int64_t inner = config.ffn_dim;
  constexpr Precision kExact = Precision::float32;
  manifest.begin("vocoder");
  manifest.add(Role::convolution, prefix + "embed", {dim, config.mel_bins, kTaps}, kExact);
  manifest.add(Role::vector, prefix + "embed_bias", {dim});
  manifest.add(Role::vector, prefix + "norm", {dim});
  manifest.add(Role::vector, prefix + "norm_bias", {dim});
  for (std::int32_t l = 0; l < config.layers; ++l) {
    const std::string name = layer_prefix(prefix, l);
    manifest.add(Role::vector, name + "conv", {kTaps, dim});
    manifest.add(Role::vector, name + "conv_bias", {dim});
    manifest.add(Role::vector, name + "norm", {dim});
    manifest.add(Role::vector, name + "norm_bias", {dim});
    manifest.add(Role::matrix, name + "ffn_in", {inner, dim}, kExact);
    manifest.add(Role::vector, name + "ffn_in_bias", {inner});
    manifest.add(Role::matrix, name + "ffn_out", {dim, inner}, kExact);
    manifest.add(Role::vector, name + "ffn_out_bias", {dim});
  }
  manifest.add(Role::vector, prefix + "final_norm", {dim});
  manifest.add(Role::vector, prefix + "final_norm_bias", {dim});
  manifest.add(Role::matrix, prefix + "head", {config.head_width(), dim}, kExact);
  manifest.add(Role::vector, prefix + "head_bias", {config.head_width()});
}

FamilyProgram write_vocoder(const Weights& weights, const std::string& prefix, const Config& config,
                            std::int32_t max_rows, bool trace) {
  return {
      "vocoder", step::Pace::whole,   VocoderWriter(weights, prefix, config).write(trace), max_rows,
      0,         step::Emits::samples};
}

}  // namespace ttsrt::model::vocos
