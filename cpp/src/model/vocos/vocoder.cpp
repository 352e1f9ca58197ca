#include "model/vocos/vocoder.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "model/pack.h"
#include "ops/program.h"

namespace ttsrt::model::vocos {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr float kEpsilon = 1e-6F;
constexpr std::int32_t kTaps = 7;

std::string layer_prefix(const std::string& prefix, std::int32_t layer) {
  return prefix + "layers." + std::to_string(layer) + ".";
}

// The periodic Hann window.
std::vector<float> hann(std::int32_t samples) {
  std::vector<float> window(static_cast<std::size_t>(samples));
  for (std::size_t n = 0; n < window.size(); ++n)
    window[n] =
        static_cast<float>(0.5 - 0.5 * std::cos(2.0 * kPi * static_cast<double>(n) / samples));
  return window;
}

// The inverse real Fourier transform of a frame, windowed, as a matrix [n_fft, n_fft + 2] that
// multiplies real parts, then imaginary parts of its bins.
std::vector<float> inverse_transform(std::int32_t samples, const std::vector<float>& window) {
  const std::int32_t bins = samples / 2 + 1;
  const std::int64_t width = std::int64_t{2} * bins;
  std::vector<double> circle(static_cast<std::size_t>(samples));  // cosines of whole steps
  for (std::int32_t i = 0; i < samples; ++i)
    circle[static_cast<std::size_t>(i)] = std::cos(2.0 * kPi * i / samples);
  std::vector<float> matrix(static_cast<std::size_t>(samples * width));
  for (std::int64_t n = 0; n < samples; ++n) {
    float* row = matrix.data() + n * width;
    const double scale = static_cast<double>(window[static_cast<std::size_t>(n)]) / samples;
    for (std::int64_t k = 0; k < bins; ++k) {
      const bool is_edge = k == 0 || k + 1 == bins;  // whose imaginary parts are ignored
      const auto angle = static_cast<std::size_t>(k * n % samples);
      const auto quarter = (angle + static_cast<std::size_t>(3 * samples / 4)) %
                           static_cast<std::size_t>(samples);  // cos(x - 90 degrees) = sin x
      row[k] = static_cast<float>((is_edge ? 1.0 : 2.0) * scale * circle[angle]);
      row[bins + k] = is_edge ? 0.0F : static_cast<float>(-2.0 * scale * circle[quarter]);
    }
  }
  return matrix;
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
    transform = constant("inverse transform", inverse_transform(config_.n_fft, window), transform);
    program_.ops.emplace_back(ops::Linear{spectrum, frames, transform, {}});
    ops::Weight shape;
    shape.rows = 1;
    shape.cols = config_.n_fft;
    program_.ops.emplace_back(
        ops::OverlapAdd{frames, samples, constant("window", window, shape), config_.trim()});
    program_.ops.emplace_back(ops::EmitRows{samples});
    if (trace) program_.taps.push_back({"vocoder.head", polar});
  }

  // Values that stand in no file, in the layout of `weight`; the Program keeps them.
  ops::Weight constant(const char* name, const std::vector<float>& values, ops::Weight weight) {
    weight.name = name;
    const std::vector<std::byte> bytes = pack(values, weight);
    auto kept = std::make_shared<std::vector<float>>(bytes.size() / sizeof(float));
    std::memcpy(kept->data(), bytes.data(), bytes.size());
    weight.data = reinterpret_cast<const std::byte*>(kept->data());
    program_.constants.push_back(std::move(kept));
    return weight;
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
