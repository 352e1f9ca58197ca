// What a NanoCodec is: the "model" block that checkpoints and engines share (docs/format.md), as
// checked numbers. Its decoder is causal, its encoder is not.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"

namespace ttsrt::model::nanocodec {

// Finite scalar quantization: each group of a frame is one code, whose digits to the bases of the
// levels, the first one lowest, are the values of the group's dimensions.
struct Quantizer {
  std::int32_t groups = 0;
  std::vector<std::int32_t> levels;  // of each dimension of a group

  std::int32_t width() const { return static_cast<std::int32_t>(levels.size()); }
  std::int32_t latent() const { return groups * width(); }
  std::int32_t codes() const;  // of one group
};

// Half of a codec: a convolution, stages, and a convolution. A stage has a chain of residual blocks
// for each kernel, with a block for each dilation.
struct HalfConfig {
  std::int32_t base_channels = 0;
  std::vector<std::int32_t> rates;      // [stages]
  std::vector<std::int32_t> kernels;    // odd
  std::vector<std::int32_t> dilations;  // of the blocks of a chain
  std::int32_t pre_kernel = 1;
  std::int32_t post_kernel = 1;

  std::int32_t stages() const { return static_cast<std::int32_t>(rates.size()); }
  std::int32_t samples() const;  // the product of the rates
};

struct Config {
  std::int32_t sample_rate = 0;
  std::int32_t samples_per_frame = 0;
  Quantizer quantizer;
  HalfConfig decoder;                 // channels halve at each stage
  std::optional<HalfConfig> encoder;  // channels double at each stage

  double frame_rate() const { return static_cast<double>(sample_rate) / samples_per_frame; }
};

// "groups" and "levels" of an object. Throws FormatError naming the field.
Quantizer read_quantizer(const JsonReader& reader);

// Throws FormatError naming the field.
Config read_config(const JsonReader& model);

// Channels of the rows that enter stage `stage`, or leave the last one.
std::int32_t decoder_channels(const HalfConfig& decoder, std::int32_t stage);
std::int32_t encoder_channels(const HalfConfig& encoder, std::int32_t stage);

}  // namespace ttsrt::model::nanocodec
