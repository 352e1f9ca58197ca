// From rows of floats to whole numbers with scales, packed as ops/weight.h says.
//
// w8: an output's scale is its largest magnitude / 127. w4: of a few scales that put a group's
// largest value at -6 to -9 (beyond -8 it is cut off, which can serve the others), the one that
// leaves the least squared error, the first of equals. w4 with zero points: a few ranges from the
// least to the largest value of a group (0 included) and shares of it, chosen the same way; a range
// has 15 steps, and the zero point is the step nearest to 0. Values are quantized with the scale as
// stored. Nothing here is random and nothing depends on other rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ops/weight.h"

namespace ttsrt::model {

// The quantization a build is asked for.
struct QuantizationChoice {
  ops::Quantization quantization = ops::Quantization::none;
  std::int64_t group_size = 0;  // 0: no groups
  bool has_zeros = false;       // a zero point for each scale
};

// Throws ConfigError that lists what is known. A group size of 0 becomes 64 where there are groups.
QuantizationChoice resolve_quantization(const std::string& name, std::int64_t group_size,
                                        bool zero_points = false);

// What panel16 bytes of this quantization are stored as.
DType stored_dtype(ops::Quantization quantization);

// The scales of a quantized weight as a tensor: "NAME.scales", dense [N/16 * groups, 16].
ops::Weight scales_of(const ops::Weight& weight);
// Its zero points: "NAME.zeros", uint8, as the scales.
ops::Weight zeros_of(const ops::Weight& weight);

struct Quantized {
  std::vector<std::byte> quants;  // packed_bytes(weight)
  std::vector<std::byte> scales;  // packed_bytes(scales_of(weight))
  std::vector<std::byte> zeros;   // packed_bytes(zeros_of(weight)), or none
};

// Scales and zero points that values were made with: value = (q - zero) * scale, q in [0, 15].
struct Grid {
  std::int64_t group_size = 0;      // inputs that share a scale
  std::vector<float> scales;        // [rows, cols / group_size], each a float16
  std::vector<std::uint8_t> zeros;  // the same, at most 15
};

// Whether `weight` can hold values of this grid as they are: in groups that lie in those of the
// grid, and with zero points unless all of them are 8.
bool can_keep(const Grid& grid, const ops::Weight& weight);

// Row-major floats [rows, cols] of a grid that `weight` can keep, packed as it says: nothing is
// rounded. Throws FormatError for a value that isn't of the grid.
Quantized keep_grid(const std::vector<float>& values, const ops::Weight& weight, const Grid& grid);

// Row-major floats [rows, cols], quantized and packed as `weight` says (its data is ignored).
// Throws FormatError where a scale doesn't fit its type.
Quantized quantize(const std::vector<float>& values, const ops::Weight& weight);

}  // namespace ttsrt::model
