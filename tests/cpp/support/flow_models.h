// Small models of flow matching and a small vocoder: configurations for tiny_checkpoint.h.
#pragma once

#include "core/json.h"

namespace ttsrt::test {

inline Json vocoder_json() {
  return {{"mel_bins", 6}, {"dim", 8}, {"ffn_dim", 12},       {"layers", 1},
          {"n_fft", 32},   {"hop", 8}, {"padding", "center"}, {"sample_rate", 800}};
}

inline Json flow_json() {
  return {{"variant", "v1"},
          {"dim", 32},
          {"layers", 2},
          {"heads", 2},
          {"head_dim", 8},
          {"ffn_dim", 24},
          {"text_vocab", 9},
          {"text_dim", 8},
          {"text_layers", 1},
          {"text_mask_padding", true},
          {"text_average_upsampling", false},
          {"rope_heads", 0},
          {"qk_norm", false},
          {"long_skip", false},
          {"mel_bins", 6},
          {"conv_groups", 2},
          {"conv_kernel", 3},
          {"sample_rate", 800},
          {"hop", 8},
          {"max_frames", 64},
          {"vocoder", vocoder_json()}};
}

inline Json whole_config(const char* family, const Json& model, const Json& defaults) {
  return {{"format", "ttsrt.checkpoint"},      {"format_version", 1}, {"family", family},
          {"source", {{"made", "by a test"}}}, {"model", model},      {"defaults", defaults}};
}

inline Json flow_config(const Json& model = flow_json()) {
  const Json defaults = {{"steps", 4},
                         {"cfg_strength", 2.0},
                         {"sway_sampling_coef", -1.0},
                         {"use_epss", true},
                         {"method", "euler"}};
  return whole_config("f5", model, defaults);
}

inline Json vocoder_config() { return whole_config("vocos", vocoder_json(), Json::object()); }

}  // namespace ttsrt::test
