#include "model/nanocodec/config.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "core/check.h"
#include "model/config.h"

namespace ttsrt::model::nanocodec {
namespace {

constexpr std::int64_t kMaxGroups = 64;
constexpr std::int64_t kMaxLevels = 64;
constexpr std::int64_t kMaxCodes = 1
                                   << 16;  // of a group, whose values an executor keeps as a table
constexpr std::size_t kMaxDimensions = 8;  // of a group
constexpr std::size_t kMaxStages = 8;
constexpr std::size_t kMaxChains = 8;  // and blocks of each
constexpr std::int64_t kMaxKernel = 63;
constexpr std::int64_t kMaxDilation = 64;
constexpr std::int64_t kMaxFrame = 8192;  // samples
constexpr std::int64_t kMaxSampleRate = 1'000'000;

std::string list_of(const std::vector<std::int32_t>& numbers) {
  std::string text;
  for (const std::int32_t number : numbers)
    text += (text.empty() ? "" : ", ") + std::to_string(number);
  return "[" + text + "]";
}

// Odd, so that the rows that a symmetric convolution reads lie evenly around the one that it gives.
void check_kernel(std::int32_t kernel, const JsonReader& reader, const char* key) {
  TTSRT_CHECK(FormatError, kernel % 2 == 1, reader.where(), ".", key,
              ": expected an odd number, got ", kernel);
}

HalfConfig read_half(const JsonReader& reader, std::int64_t least_rate, std::int32_t frame) {
  HalfConfig half;
  half.base_channels = reader.int32("base_channels", 1, kMaxDim);
  half.rates = reader.integers("rates", least_rate, kMaxFrame, kMaxStages);
  half.kernels = reader.integers("kernels", 1, kMaxKernel, kMaxChains);
  half.dilations = reader.integers("dilations", 1, kMaxDilation, kMaxChains);
  half.pre_kernel = reader.int32("pre_kernel", 1, kMaxKernel);
  half.post_kernel = reader.int32("post_kernel", 1, kMaxKernel);
  for (const std::int32_t kernel : half.kernels) check_kernel(kernel, reader, "kernels");
  check_kernel(half.pre_kernel, reader, "pre_kernel");
  check_kernel(half.post_kernel, reader, "post_kernel");
  TTSRT_CHECK(FormatError, !half.kernels.empty() && !half.dilations.empty(), reader.where(),
              ": expected at least one of kernels and one of dilations");
  std::int64_t product = 1;  // of at most kMaxStages numbers that are no larger than kMaxFrame
  for (const std::int32_t rate : half.rates) product = std::min(product * rate, kMaxFrame + 1);
  TTSRT_CHECK(FormatError, product == frame, reader.where(), ".rates: expected numbers whose ",
              "product is samples_per_frame ", frame, ", got ", list_of(half.rates));
  return half;
}

// What each upsampler reads are pairs of channels, and each activation has an alpha at least.
void check_channels(const HalfConfig& decoder, const std::string& where) {
  const std::int32_t least = 1 << decoder.stages();
  TTSRT_CHECK(FormatError, decoder.base_channels % least == 0 && decoder.base_channels / least >= 2,
              where, ".decoder.base_channels: expected a multiple of ", least, " that is at least ",
              2 * least, ", as channels halve at each of ", decoder.stages(), " stages, got ",
              decoder.base_channels);
}

}  // namespace

std::int32_t Quantizer::codes() const {
  return std::accumulate(levels.begin(), levels.end(), 1, std::multiplies<>());
}

std::int32_t HalfConfig::samples() const {
  return std::accumulate(rates.begin(), rates.end(), 1, std::multiplies<>());
}

Quantizer read_quantizer(const JsonReader& reader) {
  Quantizer quantizer;
  quantizer.groups = reader.int32("groups", 1, kMaxGroups);
  quantizer.levels = reader.integers("levels", 2, kMaxLevels, kMaxDimensions);
  std::int64_t codes = 1;
  for (const std::int32_t levels : quantizer.levels)
    codes = std::min(codes * levels, kMaxCodes + 1);
  TTSRT_CHECK(FormatError, !quantizer.levels.empty() && codes <= kMaxCodes, reader.where(),
              ".levels: expected numbers whose product is at most ", kMaxCodes, ", got ",
              list_of(quantizer.levels));
  return quantizer;
}

Config read_config(const JsonReader& model) {
  Config config;
  config.sample_rate = model.int32("sample_rate", 1, kMaxSampleRate);
  config.samples_per_frame = model.int32("samples_per_frame", 1, kMaxFrame);
  config.quantizer = read_quantizer(model);
  config.decoder = read_half(model.object("decoder"), 1, config.samples_per_frame);
  check_channels(config.decoder, model.where());
  if (!model.has("encoder")) return config;
  const JsonReader encoder = model.object("encoder");
  config.encoder = read_half(encoder, 2, config.samples_per_frame);
  read_kind<bool>(encoder, "pad", {{"replicate", true}});
  const std::int64_t widest = std::int64_t{config.encoder->base_channels}
                              << config.encoder->stages();
  TTSRT_CHECK(FormatError, widest <= kMaxDim, encoder.where(), ".base_channels: expected at most ",
              kMaxDim >> config.encoder->stages(), ", as channels double at each of ",
              config.encoder->stages(), " stages, got ", config.encoder->base_channels);
  return config;
}

std::int32_t decoder_channels(const HalfConfig& decoder, std::int32_t stage) {
  return decoder.base_channels >> stage;
}

std::int32_t encoder_channels(const HalfConfig& encoder, std::int32_t stage) {
  return encoder.base_channels << stage;
}

}  // namespace ttsrt::model::nanocodec
