#include "model/s3gen/config.h"

#include <string>

#include "core/check.h"
#include "model/config.h"

namespace ttsrt::model::s3gen {
namespace {

constexpr std::int64_t kMaxWidth = 1 << 13;
constexpr std::int64_t kMaxLayers = 64;
constexpr std::int64_t kMaxTaps = 63;
constexpr std::int64_t kMaxTokens = 1 << 20;
constexpr std::int64_t kMaxRate = 1'000'000;

Estimator read_estimator(const JsonReader& reader) {
  Estimator estimator;
  estimator.dim = reader.int32("dim", 1, kMaxWidth);
  estimator.heads = reader.int32("heads", 1, kMaxWidth);
  estimator.head_dim = reader.int32("head_dim", 1, kMaxWidth);
  estimator.ffn_dim = reader.int32("ffn_dim", 1, kMaxWidth);
  estimator.time_dim = reader.int32("time_dim", 1, kMaxWidth);
  estimator.layers = reader.int32("layers", 1, kMaxLayers);
  estimator.mid_stages = reader.int32("mid_stages", 1, kMaxLayers);
  const std::int64_t width = std::int64_t{estimator.heads} * estimator.head_dim;
  TTSRT_CHECK(FormatError, width <= kMaxWidth, reader.where(), ".heads: expected at most ",
              kMaxWidth, " columns for all heads, got ", width);
  return estimator;
}

// Its sound begins where the spectrogram of the flow does, at the same rate.
void check_vocoder(const Config& config, const hift::Config& vocoder, const std::string& where) {
  TTSRT_CHECK(FormatError, vocoder.mel_bins == config.mel_bins, where,
              ".vocoder.mel_bins: expected ", config.mel_bins, ", got ", vocoder.mel_bins);
  TTSRT_CHECK(FormatError, vocoder.samples() == kHop, where,
              ".vocoder.rates: expected numbers whose product with hop is ", kHop,
              " samples of a frame, got ", vocoder.samples());
}

}  // namespace

Config read_config(const JsonReader& model) {
  Config config;
  config.sample_rate = model.int32("sample_rate", 1, kMaxRate);
  TTSRT_CHECK(FormatError, model.has("flow"), model.where(),
              ".flow: expected the part that makes spectrograms of tokens, got none; convert a "
              "file that has one");
  const JsonReader flow = model.object("flow");
  config.is_meanflow = read_kind<bool>(flow, "kind", {{"cfm", false}, {"meanflow", true}});
  config.vocab = flow.int32("vocab", 1, kMaxTokens);
  config.dim = flow.int32("dim", 1, kMaxWidth);
  config.heads = flow.int32("heads", 1, kMaxWidth);
  config.ffn_dim = flow.int32("ffn_dim", 1, kMaxWidth);
  config.layers = flow.int32("layers", 1, kMaxLayers);
  config.up_layers = flow.int32("up_layers", 1, kMaxLayers);
  config.lookahead = flow.int32("lookahead", 1, kMaxTaps - 1);
  config.upsampling = flow.int32("upsampling", 1, kMaxTaps / 2);
  config.mel_bins = flow.int32("mel_bins", 1, kMaxWidth);
  config.speaker_dim = flow.int32("speaker_dim", 1, kMaxWidth);
  config.estimator = read_estimator(flow.object("estimator"));
  TTSRT_CHECK(FormatError, config.dim % (2 * config.heads) == 0, flow.where(),
              ".dim: expected a multiple of ", 2 * config.heads,
              " for pairs of columns of every head, got ", config.dim);
  TTSRT_CHECK(FormatError, config.mel_bins % 2 == 0, flow.where(),
              ".mel_bins: expected a multiple of 2 bands, got ", config.mel_bins);
  if (model.has("vocoder")) {
    config.vocoder = hift::read_config(model.object("vocoder"), config.sample_rate);
    check_vocoder(config, *config.vocoder, model.where());
  }
  return config;
}

Defaults read_defaults(const JsonReader& defaults, const Config& config) {
  Defaults read;
  read.steps = defaults.int32("steps", 1, kMaxEvaluations);
  read.guidance =
      static_cast<float>(defaults.number("guidance", 0.0, config.is_meanflow ? 0.0 : kMaxGuidance));
  read.silence_token = defaults.int32("silence_token", 0, config.vocab - 1);
  read.silence_tokens = defaults.int32("silence_tokens", 0, kMaxSilence);
  if (defaults.has("cropped_tokens"))
    read.cropped_tokens = defaults.int32("cropped_tokens", 0, kMaxCropped);
  return read;
}

}  // namespace ttsrt::model::s3gen
