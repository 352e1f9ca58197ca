#include "model/hift/config.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "core/check.h"
#include "model/config.h"
#include "model/hift/names.h"
#include "model/transposed.h"

namespace ttsrt::model::hift {
namespace {

constexpr std::size_t kMaxStages = 8;
constexpr std::size_t kMaxChains = 8;  // and blocks of each
constexpr std::int64_t kMaxKernel = 64;
constexpr std::int64_t kMaxRate = 64;
constexpr std::int64_t kMaxFrame = 8192;  // samples
constexpr std::int64_t kMaxLayers = 64;

// The rows that a convolution reads lie evenly around the one that it gives.
void check_odd(const JsonReader& reader, const char* key, const std::vector<std::int32_t>& values) {
  for (const std::int32_t value : values) {
    TTSRT_CHECK(FormatError, value % 2 == 1, reader.where(), ".", key,
                ": expected odd numbers, got ", value);
  }
}

void check_count(const JsonReader& reader, const char* key, std::size_t count,
                 std::size_t expected) {
  TTSRT_CHECK(FormatError, count == expected, reader.where(), ".", key, ": expected ", expected,
              " numbers, one for each of rates, got ", count);
}

void check_upsampling(const JsonReader& reader, const Config& config) {
  for (std::size_t stage = 0; stage < config.rates.size(); ++stage) {
    const std::int32_t rate = config.rates[stage];
    const std::int32_t kernel = config.kernels[stage];
    TTSRT_CHECK(FormatError, kernel >= rate && (kernel - rate) % 2 == 0, reader.where(),
                ".kernels: expected a number larger than its rate ", rate,
                " by an even number, got ", kernel);
  }
}

// Rows on each side that the blocks of a chain see.
std::int32_t chain_reach(const Config& config, std::int32_t kernel) {
  std::int32_t reach = 0;
  for (const std::int32_t dilation : config.dilations) reach += (kernel - 1) / 2 * (dilation + 1);
  return reach;
}

}  // namespace

// From the end on, in frames of the transforms: what reaches the spectrogram, and what reaches the
// source of any stage.
std::int32_t window_halo(const Config& config) {
  const std::int32_t overlap = config.n_fft / config.hop;
  const std::int32_t outer = (kOuterTaps - 1) / 2;
  std::int32_t reach = outer + overlap + 1;  // the row that is added in front moves all by one
  std::int32_t most = 0;
  for (std::int32_t stage = config.stages() - 1; stage >= 0; --stage) {
    const auto index = static_cast<std::size_t>(stage);
    const std::int32_t unit = config.stride(stage);
    const std::int32_t kernel =
        *std::max_element(config.chain_kernels.begin(), config.chain_kernels.end());
    reach += chain_reach(config, kernel) * unit;
    const std::int32_t source = chain_reach(config, config.source_kernels[index]) * unit;
    most = std::max(most, reach + source + source_taps(unit) + overlap / 2);
    const std::int64_t rows = transposed_reach(config.kernels[index], config.rates[index]);
    reach += static_cast<std::int32_t>(rows) * unit * config.rates[index];
  }
  most = std::max(most, reach + outer * config.frames());
  return (most + config.frames() - 1) / config.frames() + pitch_halo(config);
}

std::int32_t Config::frames() const {
  return std::accumulate(rates.begin(), rates.end(), 1, std::multiplies<>());
}

std::int32_t Config::stride(std::int32_t stage) const {
  return std::accumulate(rates.begin() + stage + 1, rates.end(), 1, std::multiplies<>());
}

Config read_config(const JsonReader& vocoder, std::int32_t sample_rate) {
  Config config;
  config.sample_rate = sample_rate;
  config.mel_bins = vocoder.int32("mel_bins", 1, kMaxDim);
  config.dim = vocoder.int32("dim", 2, kMaxDim);
  config.rates = vocoder.integers("rates", 1, kMaxRate, kMaxStages);
  config.kernels = vocoder.integers("kernels", 1, kMaxKernel, kMaxStages);
  config.chain_kernels = vocoder.integers("chain_kernels", 1, kMaxKernel, kMaxChains);
  config.source_kernels = vocoder.integers("source_kernels", 1, kMaxKernel, kMaxStages);
  config.dilations = vocoder.integers("dilations", 1, kMaxKernel, kMaxChains);
  config.n_fft = vocoder.int32("n_fft", 4, 256);
  config.hop = vocoder.int32("hop", 1, 64);
  config.harmonics = vocoder.int32("harmonics", 1, 64);
  config.f0_dim = vocoder.int32("f0_dim", 1, kMaxDim);
  config.f0_layers = vocoder.int32("f0_layers", 1, kMaxLayers);
  TTSRT_CHECK(FormatError,
              !config.rates.empty() && !config.chain_kernels.empty() && !config.dilations.empty(),
              vocoder.where(), ": expected rates, chain_kernels and dilations");
  check_count(vocoder, "kernels", config.kernels.size(), config.rates.size());
  check_count(vocoder, "source_kernels", config.source_kernels.size(), config.rates.size());
  check_odd(vocoder, "chain_kernels", config.chain_kernels);
  check_odd(vocoder, "source_kernels", config.source_kernels);
  check_upsampling(vocoder, config);
  TTSRT_CHECK(FormatError, config.dim % (1 << config.stages()) == 0, vocoder.where(),
              ".dim: expected a multiple of ", 1 << config.stages(), ", as each of ",
              config.stages(), " stages halves it, got ", config.dim);
  TTSRT_CHECK(FormatError, config.n_fft == 4 * config.hop, vocoder.where(),
              ".n_fft: expected four times the hop ", config.hop, ", got ", config.n_fft);
  std::int64_t product = config.hop;  // of at most kMaxStages numbers up to kMaxRate
  for (const std::int32_t rate : config.rates) product = std::min(product * rate, kMaxFrame + 1);
  TTSRT_CHECK(FormatError, product <= kMaxFrame, vocoder.where(), ".rates: expected at most ",
              kMaxFrame, " samples of a row");
  return config;
}

}  // namespace ttsrt::model::hift
