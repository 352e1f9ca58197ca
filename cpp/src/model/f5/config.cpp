#include "model/f5/config.h"

#include "core/check.h"
#include "model/config.h"
#include "model/f5/schedule.h"
#include "ops/weight.h"

namespace ttsrt::model::f5 {
namespace {

constexpr std::int64_t kMaxRate = 1'000'000;

// Its sound begins where the spectrogram of the network does, at the same rate.
void check_vocoder(const Config& config, const vocos::Config& vocoder, const std::string& where) {
  const struct {
    const char* name;
    std::int32_t expected, got;
  } fields[] = {{"mel_bins", config.mel_bins, vocoder.mel_bins},
                {"sample_rate", config.sample_rate, vocoder.sample_rate},
                {"hop", config.hop, vocoder.hop}};
  for (const auto& field : fields)
    TTSRT_CHECK(FormatError, field.expected == field.got, where, ".vocoder.", field.name,
                ": expected ", field.expected, ", got ", field.got);
}

void check_convolution(const Config& config, const std::string& where) {
  TTSRT_CHECK(FormatError, config.conv_kernel % 2 == 1, where,
              ".conv_kernel: expected an odd number of taps, got ", config.conv_kernel);
  TTSRT_CHECK(FormatError, config.dim % (config.conv_groups * ops::kPanel) == 0, where,
              ".conv_groups: expected groups of a multiple of ", ops::kPanel, " of dim ",
              config.dim, ", got ", config.conv_groups);
}

}  // namespace

RopeConfig Config::rope() const {
  RopeConfig rope;
  rope.kind = RopeKind::standard;
  rope.dims = head_dim;
  return rope;
}

Config read_config(const JsonReader& model) {
  Config config;
  read_kind<int>(model, "variant", {{"v0", 0}, {"v1", 1}});
  config.dim = model.int32("dim", ops::kPanel, kMaxDim);
  config.layers = model.int32("layers", 1, kMaxDecoderLayers);
  config.heads = model.int32("heads", 1, 256);
  config.head_dim = model.int32("head_dim", 2, kMaxDim);
  config.ffn_dim = model.int32("ffn_dim", 2, 4 * kMaxDim);
  config.text_vocab = model.int32("text_vocab", 1, kMaxVocab);
  config.text_dim = model.int32("text_dim", 2, kMaxDim);
  config.text_layers = model.int32("text_layers", 0, kMaxDecoderLayers);
  config.masks_padding = model.boolean("text_mask_padding");
  config.stretches_text = model.boolean("text_average_upsampling");
  config.rope_heads = model.int32("rope_heads", 0, config.heads);
  config.has_head_norms = model.boolean("qk_norm");
  config.has_long_skip = model.boolean("long_skip");
  config.mel_bins = model.int32("mel_bins", 1, kMaxDim);
  config.conv_groups = model.int32("conv_groups", 1, config.dim);
  config.conv_kernel = model.int32("conv_kernel", 1, 255);
  config.sample_rate = model.int32("sample_rate", 1, kMaxRate);
  config.hop = model.int32("hop", 1, kMaxRate);
  config.max_frames = model.int32("max_frames", 2, 1 << 16);
  if (model.has("vocoder")) config.vocoder = vocos::read_config(model.object("vocoder"));
  check_convolution(config, model.where());
  TTSRT_CHECK(FormatError, config.head_dim % 2 == 0 && config.text_dim % 2 == 0, model.where(),
              ".head_dim and text_dim: expected even numbers, got ", config.head_dim, " and ",
              config.text_dim);
  TTSRT_CHECK(FormatError, !config.stretches_text || config.masks_padding, model.where(),
              ".text_average_upsampling: expected text_mask_padding beside it");
  if (config.vocoder) check_vocoder(config, *config.vocoder, model.where());
  return config;
}

Defaults read_defaults(const JsonReader& defaults) {
  Defaults read;
  read.steps = defaults.int32("steps", 1, kMaxEvaluations);
  read.cfg_strength = static_cast<float>(defaults.number("cfg_strength", 0.0, kMaxStrength));
  read.sway = static_cast<float>(defaults.number("sway_sampling_coef", kMinSway, kMaxSway));
  read.use_epss = defaults.boolean("use_epss");
  read.method =
      read_kind<const char*>(defaults, "method", {{"euler", "euler"}, {"midpoint", "midpoint"}});
  return read;
}

}  // namespace ttsrt::model::f5
