// What a model that makes sound of speech tokens is (docs/format.md): Chatterbox's S3Gen, with and
// without mean flow.
#pragma once

#include <cstdint>
#include <optional>

#include "core/json.h"
#include "model/hift/config.h"

namespace ttsrt::model::s3gen {

constexpr std::int32_t kHop = 480;             // samples of a frame
constexpr std::int32_t kMaxEvaluations = 128;  // of one request
constexpr double kMaxGuidance = 100.0;
constexpr std::int32_t kMaxSilence = 100;  // tokens
constexpr std::int32_t kMaxCropped = 5;    // tokens, fewer than a vocoder's halo has

// The network that is integrated: one stage down, `mid_stages`, one up, each with a residual block
// and `layers` blocks of attention. No stage changes the number of frames.
struct Estimator {
  std::int32_t dim = 0;
  std::int32_t heads = 0;
  std::int32_t head_dim = 0;
  std::int32_t ffn_dim = 0;
  std::int32_t time_dim = 0;
  std::int32_t layers = 0;
  std::int32_t mid_stages = 0;

  std::int32_t stages() const { return mid_stages + 2; }
  std::int32_t attention_width() const { return heads * head_dim; }
};

struct Config {
  bool is_meanflow = false;  // the estimator is told where a step ends, and has no guidance
  std::int32_t vocab = 0;
  std::int32_t dim = 0;
  std::int32_t heads = 0;
  std::int32_t ffn_dim = 0;
  std::int32_t layers = 0;      // in front of the upsampling
  std::int32_t up_layers = 0;   // behind it
  std::int32_t lookahead = 0;   // tokens
  std::int32_t upsampling = 0;  // frames of a token
  std::int32_t mel_bins = 0;
  std::int32_t speaker_dim = 0;
  Estimator estimator;
  std::int32_t sample_rate = 0;
  std::optional<hift::Config> vocoder;

  double frame_rate() const { return static_cast<double>(sample_rate) / kHop; }
  // What an evaluation adds in each stage.
  std::int32_t schedule_width() const { return estimator.stages() * estimator.dim; }
  std::int32_t time_width() const { return 4 * mel_bins; }  // sines and cosines of a time
  // Columns that the estimator takes: the state, the tokens', the speaker's and the prompt's.
  std::int32_t input_width() const { return 4 * mel_bins; }
};

// What a request's absent options mean.
struct Defaults {
  std::int32_t steps = 10;
  float guidance = 0.7F;
  std::int32_t silence_token = 0;   // is appended
  std::int32_t silence_tokens = 0;  // so often
  std::int32_t cropped_tokens = 0;  // at the end, which take part and are not heard
};

// Throw FormatError naming the field.
Config read_config(const JsonReader& model);
Defaults read_defaults(const JsonReader& defaults, const Config& config);

}  // namespace ttsrt::model::s3gen
