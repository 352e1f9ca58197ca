// The weight of a convolution over time in the order in which the tensor cores of Hopper read it
// (kernels/narrow_conv_sm90.cu), which the host writes while it uploads.
//
// Outputs are in tiles. A tile has products of 16 columns of one tap: those of a chunk of columns,
// tap after tap, and then those of the next chunk (ConvWeightShape). A product is [outputs / 8][2]
// [8 outputs][8 columns]: pieces of 8 outputs by 16 bytes, which need no swizzle. Columns behind
// the width and outputs behind the last one are zeros.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/views.h"
#include "ops/weight.h"

namespace ttsrt::cuda {

std::size_t conv_weight_bytes(const ConvWeightShape& shape);
// Of a panel16 of bfloat16 or float16, [outputs, kernel * width].
void write_conv_weights(const ops::Weight& weight, const ConvWeightShape& shape, std::byte* out);

}  // namespace ttsrt::cuda
