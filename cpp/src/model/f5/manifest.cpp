// Every tensor of the model. The text, the time, what goes into the blocks and what comes out of
// them are float32 whatever the build's type: little of the time is spent there, and most of the
// rounding would be.
#include <string>

#include "model/f5/programs.h"
#include "model/vocos/vocoder.h"

namespace ttsrt::model::f5 {
namespace {

constexpr Precision kExact = Precision::float32;

void add_linear(Manifest& manifest, const std::string& name, std::int64_t outputs,
                std::int64_t inputs, Precision precision) {
  manifest.add(Role::matrix, name, {outputs, inputs}, precision);
  manifest.add(Role::vector, name + "_bias", {outputs});
}

void declare_text(Manifest& manifest, const Config& config) {
  const std::int64_t dim = config.text_dim;
  manifest.begin("text");
  manifest.add(Role::vector, "text_embedding", {std::int64_t{config.text_vocab} + 1, dim});
  for (std::int32_t l = 0; l < config.text_layers; ++l) {
    const std::string name = "text.layers." + std::to_string(l) + ".";
    manifest.add(Role::vector, name + "conv", {kTextTaps, dim});
    manifest.add(Role::vector, name + "conv_bias", {dim});
    manifest.add(Role::vector, name + "norm", {dim});
    manifest.add(Role::vector, name + "norm_bias", {dim});
    add_linear(manifest, name + "ffn_in", 2 * dim, dim, kExact);
    manifest.add(Role::vector, name + "grn_gamma", {2 * dim});
    manifest.add(Role::vector, name + "grn_beta", {2 * dim});
    add_linear(manifest, name + "ffn_out", dim, 2 * dim, kExact);
  }
}

void declare_layer(Manifest& manifest, const std::string& name, const Config& config) {
  const std::int64_t dim = config.dim;
  const std::int64_t width = config.attention_width();
  add_linear(manifest, name + "self_qkv", 3 * width, dim, Precision::any);
  if (config.has_head_norms) {
    manifest.add(Role::vector, name + "q_norm", {width});
    manifest.add(Role::vector, name + "k_norm", {width});
  }
  add_linear(manifest, name + "self_out", dim, width, Precision::any);
  add_linear(manifest, name + "ffn_in", config.ffn_dim, dim, Precision::any);
  add_linear(manifest, name + "ffn_out", dim, config.ffn_dim, Precision::any);
}

}  // namespace

Manifest declare(const Config& config) {
  const std::int64_t dim = config.dim;
  Manifest manifest;
  declare_text(manifest, config);
  manifest.begin("decoder");
  add_linear(manifest, "time.in", dim, kTimeWidth, kExact);
  add_linear(manifest, "time.out", dim, dim, kExact);
  add_linear(manifest, "modulation", config.schedule_width(), dim, Precision::floats);
  manifest.add(Role::matrix, "input.noisy", {dim, config.mel_bins}, kExact);
  manifest.add(Role::matrix, "input.cond", {dim, config.mel_bins}, kExact);
  manifest.add(Role::matrix, "input.text", {dim, config.text_dim}, kExact);
  manifest.add(Role::vector, "input_bias", {dim});
  for (const char* name : {"position_conv.0", "position_conv.1"}) {
    manifest.add(Role::convolution, name, {dim, dim / config.conv_groups, config.conv_kernel},
                 Precision::floats);
    manifest.add(Role::vector, std::string(name) + "_bias", {dim});
  }
  for (std::int32_t l = 0; l < config.layers; ++l)
    declare_layer(manifest, "decoder.layers." + std::to_string(l) + ".", config);
  if (config.has_long_skip) {
    manifest.add(Role::matrix, "long_skip.hidden", {dim, dim}, kExact);
    manifest.add(Role::matrix, "long_skip.input", {dim, dim}, kExact);
  }
  add_linear(manifest, "output", config.mel_bins, dim, kExact);
  if (config.vocoder) vocos::declare_vocoder(manifest, "vocoder.", *config.vocoder);
  return manifest;
}

}  // namespace ttsrt::model::f5
