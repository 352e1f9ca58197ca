#include "model/vocos/config.h"

#include "core/check.h"
#include "model/config.h"
#include "ops/weight.h"

namespace ttsrt::model::vocos {
namespace {

constexpr std::int64_t kMaxFrame = 8192;  // samples
constexpr std::int64_t kMaxSampleRate = 1'000'000;

}  // namespace

Config read_config(const JsonReader& model) {
  Config config;
  config.mel_bins = model.int32("mel_bins", 1, kMaxDim);
  config.dim = model.int32("dim", 2, kMaxDim);
  config.ffn_dim = model.int32("ffn_dim", 2, 4 * kMaxDim);
  config.layers = model.int32("layers", 1, kMaxDecoderLayers);
  config.n_fft = model.int32("n_fft", ops::kPanel, kMaxFrame);
  config.hop = model.int32("hop", 1, kMaxFrame);
  config.is_centred = read_kind<bool>(model, "padding", {{"center", true}, {"same", false}});
  config.sample_rate = model.int32("sample_rate", 1, kMaxSampleRate);
  TTSRT_CHECK(FormatError, config.n_fft % ops::kPanel == 0 && config.n_fft % config.hop == 0,
              model.where(), ".n_fft: expected a multiple of ", ops::kPanel, " and of hop ",
              config.hop, ", got ", config.n_fft);
  TTSRT_CHECK(FormatError, (config.n_fft - config.hop) % 2 == 0, model.where(),
              ".hop: expected an even number of samples less than n_fft ", config.n_fft, ", got ",
              config.hop);
  return config;
}

}  // namespace ttsrt::model::vocos
