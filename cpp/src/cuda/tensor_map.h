// Tensor maps, by which the copy engine of Hopper reads boxes of a matrix.
#pragma once

#include <cstdint>

#include "cuda/launch_whole.h"

namespace ttsrt::cuda {

// Describes `rows` of `cols` elements, in boxes of `box_rows` by 64 columns with the swizzle of 128
// bytes; what a box has outside is zeros. The data begin at a multiple of 16 bytes, and the stride
// is one of 8 elements. Null data give an empty map, which nothing may read. Throws DeviceError
// where the driver knows no tensor maps.
TensorMap map_matrix(const NarrowRows& matrix, std::int64_t rows, std::int64_t cols,
                     std::int32_t box_rows);

}  // namespace ttsrt::cuda
