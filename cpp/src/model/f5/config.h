// What a model of flow matching over a spectrogram is (docs/format.md): F5-TTS of both generations
// and IndicF5. The generations have equal tensors and differ in what they mean, so their flags
// stand in the configuration.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/json.h"
#include "model/rope.h"
#include "model/vocos/config.h"

namespace ttsrt::model::f5 {

constexpr std::int32_t kTimeWidth = 256;  // sines and cosines of a time
constexpr std::int32_t kTextTaps = 7;
constexpr std::int32_t kModulations = 6;  // vectors of width dim that a block takes

struct Config {
  std::int32_t dim = 0;
  std::int32_t layers = 0;
  std::int32_t heads = 0;
  std::int32_t head_dim = 0;
  std::int32_t ffn_dim = 0;
  std::int32_t text_vocab = 0;  // ids of requests; the table has a row more, the filler's, in front
  std::int32_t text_dim = 0;
  std::int32_t text_layers = 0;
  bool masks_padding = true;    // rows behind the text are zero between the text's layers
  bool stretches_text = false;  // the text's rows are stretched over all frames
  std::int32_t rope_heads = 0;  // that the rope turns, from the first on; 0: all
  bool has_head_norms = false;
  bool has_long_skip = false;
  std::int32_t mel_bins = 0;
  std::int32_t conv_groups = 0;
  std::int32_t conv_kernel = 0;
  std::int32_t sample_rate = 0;
  std::int32_t hop = 0;
  std::int32_t max_frames = 0;
  std::optional<vocos::Config> vocoder;

  std::int32_t attention_width() const { return heads * head_dim; }
  std::int32_t schedule_width() const { return (layers * kModulations + 2) * dim; }
  double frame_rate() const { return static_cast<double>(sample_rate) / hop; }
  RopeConfig rope() const;
};

// What a request's absent options mean.
struct Defaults {
  std::int32_t steps = 32;
  float cfg_strength = 2.0F;
  float sway = -1.0F;
  bool use_epss = true;
  std::string method = "euler";
};

// Throw FormatError naming the field.
Config read_config(const JsonReader& model);
Defaults read_defaults(const JsonReader& defaults);

}  // namespace ttsrt::model::f5
