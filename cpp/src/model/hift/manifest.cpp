#include "model/hift/names.h"
#include "model/hift/vocoder.h"

namespace ttsrt::model::hift {
namespace {

void declare_convolution(Manifest& manifest, const std::string& name,
                         std::vector<std::int64_t> shape, Precision precision) {
  const std::int64_t outputs = shape.front();
  manifest.add(Role::convolution, name, std::move(shape), precision);
  manifest.add(Role::vector, name + "_bias", {outputs});
}

void declare_chain(Manifest& manifest, const std::string& name, const Config& config,
                   std::int64_t channels, std::int64_t kernel) {
  for (std::size_t block = 0; block < config.dilations.size(); ++block) {
    for (const char* half : {"in", "out"}) {
      const std::string of = block_name(name, block) + half;
      manifest.add(Role::vector, of + "_alpha", {channels});
      declare_convolution(manifest, of, {channels, channels, kernel}, Precision::floats);
    }
  }
}

void declare_stage(Manifest& manifest, const std::string& prefix, const Config& config,
                   std::int32_t stage) {
  const auto index = static_cast<std::size_t>(stage);
  const std::string name = prefix + stage_name(stage);
  const std::int64_t channels = config.channels(stage);
  manifest.add_transposed(name + "up", {2 * channels, channels, config.kernels[index]},
                          config.rates[index], Precision::floats);
  declare_convolution(manifest, name + "source",
                      {channels, config.spectrum_width(), source_taps(config.stride(stage))},
                      Precision::float32);
  declare_chain(manifest, name + "source_chain.", config, channels, config.source_kernels[index]);
  for (std::size_t chain = 0; chain < config.chain_kernels.size(); ++chain)
    declare_chain(manifest, prefix + chain_name(stage, static_cast<std::int32_t>(chain)), config,
                  channels, config.chain_kernels[chain]);
}

}  // namespace

// What is small and multiplies errors, the pitch and the spectra, is float32 whatever the build's
// type; nothing is quantized, as its errors would be heard.
void declare(Manifest& manifest, const std::string& prefix, const Config& config) {
  manifest.begin("vocoder");
  std::int64_t columns = config.mel_bins;
  for (std::int32_t layer = 0; layer < config.f0_layers; ++layer) {
    declare_convolution(manifest, prefix + pitch_layer(layer), {config.f0_dim, columns, kPitchTaps},
                        Precision::float32);
    columns = config.f0_dim;
  }
  manifest.add(Role::matrix, prefix + kPitchOutput, {1, config.f0_dim}, Precision::float32);
  manifest.add(Role::vector, prefix + kPitchOutput + "_bias", {1});
  manifest.add(Role::vector, prefix + kSource, {1, config.harmonics});
  manifest.add(Role::vector, prefix + kSource + "_bias", {1});
  declare_convolution(manifest, prefix + "pre", {config.dim, config.mel_bins, kOuterTaps},
                      Precision::floats);
  for (std::int32_t stage = 0; stage < config.stages(); ++stage)
    declare_stage(manifest, prefix, config, stage);
  declare_convolution(manifest, prefix + "post",
                      {config.spectrum_width(), config.channels(config.stages() - 1), kOuterTaps},
                      Precision::float32);
}

}  // namespace ttsrt::model::hift
