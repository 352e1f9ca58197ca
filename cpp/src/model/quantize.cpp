#include "model/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>

#include "core/check.h"
#include "core/half.h"
#include "core/quote.h"
#include "core/stop_flag.h"
#include "model/pack.h"

namespace ttsrt::model {
namespace {

using ops::Quantization;

constexpr std::int64_t kDefaultGroup = 64;
constexpr float kReaches[] = {8.0F,  7.75F, 7.5F,  7.25F, 7.0F,  6.75F, 6.5F,
                              6.25F, 6.0F,  8.25F, 8.5F,  8.75F, 9.0F};

std::string known_quantizations() {
  std::string names;
  for (const char* name : ops::kQuantizationNames)
    names += (names.empty() ? "" : ", ") + std::string(name);
  return names;
}

// To the nearest whole number, ties to even, for magnitudes below 2^22: the sum's spacing is 1.
float whole(float value) {
  constexpr float kMagic = 12582912.0F;  // 1.5 * 2^23
  return (value + kMagic) - kMagic;
}

float largest_value(const float* values, std::int64_t count) {
  float largest = 0.0F;
  for (std::int64_t k = 0; k < count; ++k)
    largest = std::fabs(values[k]) > std::fabs(largest) ? values[k] : largest;
  return largest;
}

float bounded(float value, float least, float most) {
  return std::min(std::max(value, least), most);
}

// q [count] of one output; returns the scale.
float quantize_bytes(const float* values, std::int64_t count, std::int8_t* q) {
  const float scale = std::fabs(largest_value(values, count)) / 127.0F;
  for (std::int64_t k = 0; k < count; ++k) {
    const float steps = scale == 0.0F ? 0.0F : values[k] / scale;
    q[k] = static_cast<std::int8_t>(whole(bounded(steps, -127.0F, 127.0F)));
  }
  return scale;
}

float nibble_of(float value, float inverse) { return whole(bounded(value * inverse, -8.0F, 7.0F)); }

// q [count] of one group of one output; returns the scale, a float16.
float quantize_nibbles(const float* values, std::int64_t count, std::int8_t* q,
                       const std::string& name) {
  const float largest = largest_value(values, count);
  float best_scale = 0.0F;
  double least = HUGE_VAL;
  for (const float reach : kReaches) {
    const float scale = from_float16(to_float16(-largest / reach));
    if (scale == 0.0F) continue;
    TTSRT_CHECK(FormatError, std::isfinite(scale), name,
                ": expected groups whose scales fit float16, got a value of ", largest);
    const float inverse = 1.0F / scale;
    float error = 0.0F;
    for (std::int64_t k = 0; k < count; ++k) {
      const float off = values[k] - nibble_of(values[k], inverse) * scale;
      error += off * off;
    }
    if (error >= least) continue;
    least = error;
    best_scale = scale;
  }
  const float inverse = best_scale == 0.0F ? 0.0F : 1.0F / best_scale;
  for (std::int64_t k = 0; k < count; ++k)
    q[k] = static_cast<std::int8_t>(nibble_of(values[k], inverse));
  return best_scale;
}

constexpr float kLeastFloat16 = 0x1p-24F;

// Ranges of a group that are tried, as shares of the whole one.
constexpr float kShares[] = {1.0F, 0.95F, 0.9F, 0.85F, 0.8F, 0.75F};

float nibble_from(float value, float inverse, float zero) {
  return bounded(whole(value * inverse) + zero, 0.0F, 15.0F);
}

struct ScaleAndZero {
  float scale = 0.0F;
  float zero = 8.0F;
};

// q [count] of one group of one output: the nibble less 8.
ScaleAndZero quantize_with_zero(const float* values, std::int64_t count, std::int8_t* q,
                                const std::string& name) {
  float low = 0.0F;
  float high = 0.0F;
  for (std::int64_t k = 0; k < count; ++k) {
    low = std::min(low, values[k]);
    high = std::max(high, values[k]);
  }
  ScaleAndZero best;
  double least = HUGE_VAL;
  for (const float share : kShares) {
    if (high == low) break;
    const float rounded = from_float16(to_float16((high - low) * share / 15.0F));
    const float scale = std::max(rounded, kLeastFloat16);
    TTSRT_CHECK(FormatError, std::isfinite(scale), name,
                ": expected groups whose scales fit float16, got values from ", low, " to ", high);
    const float inverse = 1.0F / scale;
    const float zero = bounded(whole(-low * share * inverse), 0.0F, 15.0F);
    float error = 0.0F;
    for (std::int64_t k = 0; k < count; ++k) {
      const float off = values[k] - (nibble_from(values[k], inverse, zero) - zero) * scale;
      error += off * off;
    }
    if (error >= least) continue;
    least = error;
    best = {scale, zero};
  }
  const float inverse = best.scale == 0.0F ? 0.0F : 1.0F / best.scale;
  for (std::int64_t k = 0; k < count; ++k)
    q[k] = static_cast<std::int8_t>(nibble_from(values[k], inverse, best.zero) - 8.0F);
  return best;
}

ScaleAndZero quantize_group(const ops::Weight& weight, const float* values, std::int64_t count,
                            std::int8_t* q) {
  if (weight.has_zeros) return quantize_with_zero(values, count, q, weight.name);
  if (ops::has_groups(weight.quantization))
    return {quantize_nibbles(values, count, q, weight.name), 8.0F};
  return {quantize_bytes(values, count, q), 0.0F};
}

// Where quant `k` of an output in lane `lane` stands in its panel: a byte, and the shift in it.
struct Place {
  std::int64_t byte;
  int shift;
};
Place place_of(Quantization quantization, std::int64_t k, std::int64_t lane) {
  switch (quantization) {
    case Quantization::w8a16:
      return {k * 16 + lane, 0};
    case Quantization::w8a8:
      return {k / 4 * 64 + lane * 4 + k % 4, 0};
    case Quantization::w4a16: {
      const auto nibble = static_cast<int>(k % 8 / 2);
      return {k / 8 * 64 + lane * 4 + k % 2 * 2 + nibble / 2, nibble % 2 * 4};
    }
    default:  // w4a8
      return {k / 8 * 64 + lane * 4 + k % 4, static_cast<int>(k % 8 / 4 * 4)};
  }
}

// What stands for 0, in every byte.
int empty_byte(Quantization quantization) {
  if (quantization == Quantization::w8a16) return 0;
  return quantization == Quantization::w8a8 ? 0x80 : 0x88;
}

void put_scale(std::byte* scales, std::size_t index, float scale, bool is_half) {
  const std::uint16_t half = to_float16(scale);
  if (is_half) std::memcpy(scales + 2 * index, &half, sizeof(half));
  if (!is_half) std::memcpy(scales + 4 * index, &scale, sizeof(scale));
}

void put_quants(const std::int8_t* q, const ops::Weight& weight, std::int64_t row,
                std::byte* panel) {
  const Quantization quantization = weight.quantization;
  const int offset = quantization == Quantization::w8a16  ? 0
                     : quantization == Quantization::w8a8 ? 128
                                                          : 8;
  const int mask = ops::has_groups(quantization) ? 0xF : 0xFF;
  for (std::int64_t k = 0; k < weight.cols; ++k) {
    const Place place = place_of(quantization, k, row % ops::kPanel);
    std::byte& byte = panel[place.byte];
    byte &= static_cast<std::byte>(~(mask << place.shift));
    byte |= static_cast<std::byte>(((q[k] + offset) & mask) << place.shift);
  }
}

// A group of inputs of one output.
struct GroupPlace {
  std::int64_t row = 0;
  std::int64_t first = 0;  // input
  std::int64_t count = 0;
};

// Packs what `quantize_one(place, q)` makes of each group; q has room for its quants.
template <typename QuantizeOne>
Quantized quantize_groups(const std::vector<float>& values, const ops::Weight& weight,
                          QuantizeOne quantize_one) {
  TTSRT_CHECK(InternalError, values.size() == static_cast<std::size_t>(weight.rows * weight.cols),
              weight.name, ": expected ", weight.rows * weight.cols, " values, got ",
              values.size());
  const bool has_groups = ops::has_groups(weight.quantization);
  const std::int64_t groups = ops::num_groups(weight);
  const std::int64_t group = has_groups ? weight.group_size : weight.cols;
  Quantized out;
  out.quants.assign(packed_bytes(weight), static_cast<std::byte>(empty_byte(weight.quantization)));
  out.scales.resize(packed_bytes(scales_of(weight)));
  if (weight.has_zeros) out.zeros.assign(packed_bytes(zeros_of(weight)), std::byte{8});
  const std::int64_t panel_bytes =
      ops::kPanel * ops::padded_cols(weight) * ops::weight_bits(weight.quantization) / 8;
  std::vector<std::int8_t> q(static_cast<std::size_t>(weight.cols));
  for (std::int64_t row = 0; row < weight.rows; ++row) {
    check_stop();
    for (std::int64_t g = 0; g < groups; ++g) {
      const std::int64_t first = g * group;
      const std::int64_t count = std::min(group, weight.cols - first);
      const auto index = static_cast<std::size_t>((row / ops::kPanel * groups + g) * ops::kPanel +
                                                  row % ops::kPanel);
      const ScaleAndZero group_of = quantize_one({row, first, count}, q.data() + first);
      put_scale(out.scales.data(), index, group_of.scale, has_groups);
      if (weight.has_zeros) out.zeros[index] = static_cast<std::byte>(group_of.zero);
    }
    put_quants(q.data(), weight, row, out.quants.data() + row / ops::kPanel * panel_bytes);
  }
  return out;
}

}  // namespace

QuantizationChoice resolve_quantization(const std::string& name, std::int64_t group_size,
                                        bool zero_points) {
  const auto* found =
      std::find(std::begin(ops::kQuantizationNames), std::end(ops::kQuantizationNames), name);
  TTSRT_CHECK(ConfigError, found != std::end(ops::kQuantizationNames),
              "quantization: expected one of ", known_quantizations(), ", got ", in_quotes(name));
  QuantizationChoice plan;
  plan.quantization =
      static_cast<Quantization>(std::distance(std::begin(ops::kQuantizationNames), found));
  if (!ops::has_groups(plan.quantization)) {
    TTSRT_CHECK(ConfigError, group_size == 0, "group_size: expected 0, as ", name,
                " has no groups, got ", group_size);
    TTSRT_CHECK(ConfigError, !zero_points, "zero_points: expected none, as ", name,
                " is symmetric; w4a16 and w4a8 may have them");
    return plan;
  }
  plan.group_size = group_size == 0 ? kDefaultGroup : group_size;
  const bool is_known =
      std::count(std::begin(ops::kGroupSizes), std::end(ops::kGroupSizes), plan.group_size) == 1;
  TTSRT_CHECK(ConfigError, is_known, "group_size: expected 32, 64 or 128, got ", group_size);
  plan.has_zeros = zero_points;
  return plan;
}

DType stored_dtype(Quantization quantization) {
  return quantization == Quantization::w8a16 ? DType::int8 : DType::uint8;
}

ops::Weight scales_of(const ops::Weight& weight) {
  ops::Weight scales;
  scales.name = weight.name + ".scales";
  scales.dtype = ops::has_groups(weight.quantization) ? DType::float16 : DType::float32;
  scales.rows = ops::padded_rows(weight.rows) / ops::kPanel * ops::num_groups(weight);
  scales.cols = ops::kPanel;
  return scales;
}

ops::Weight zeros_of(const ops::Weight& weight) {
  ops::Weight zeros = scales_of(weight);
  zeros.name = weight.name + ".zeros";
  zeros.dtype = DType::uint8;
  return zeros;
}

bool can_keep(const Grid& grid, const ops::Weight& weight) {
  if (!ops::has_groups(weight.quantization) || grid.group_size % weight.group_size != 0)
    return false;
  return weight.has_zeros || std::all_of(grid.zeros.begin(), grid.zeros.end(),
                                         [](std::uint8_t zero) { return zero == 8; });
}

Quantized keep_grid(const std::vector<float>& values, const ops::Weight& weight, const Grid& grid) {
  const std::int64_t groups = weight.cols / grid.group_size;
  return quantize_groups(values, weight, [&](const GroupPlace& at, std::int8_t* q) {
    const auto index = static_cast<std::size_t>(at.row * groups + at.first / grid.group_size);
    const ScaleAndZero found = {grid.scales[index], static_cast<float>(grid.zeros[index])};
    for (std::int64_t k = 0; k < at.count; ++k) {
      const float value = values[static_cast<std::size_t>(at.row * weight.cols + at.first + k)];
      const float steps = found.scale == 0.0F ? 0.0F : value / found.scale;
      const float nibble = std::fabs(steps) <= 15.0F ? whole(steps) + found.zero : -1.0F;
      const bool is_kept =
          nibble >= 0.0F && nibble <= 15.0F && (nibble - found.zero) * found.scale == value;
      TTSRT_CHECK(FormatError, is_kept, weight.name, "[", at.row, ", ", at.first + k,
                  "]: expected a multiple of the scale ", found.scale, " from ", -found.zero,
                  " to ", 15.0F - found.zero, " times it, got ", value);
      q[k] = static_cast<std::int8_t>(nibble - 8.0F);
    }
    return found;
  });
}

Quantized quantize(const std::vector<float>& values, const ops::Weight& weight) {
  return quantize_groups(values, weight, [&](const GroupPlace& at, std::int8_t* q) {
    return quantize_group(weight, values.data() + at.row * weight.cols + at.first, at.count, q);
  });
}

}  // namespace ttsrt::model
