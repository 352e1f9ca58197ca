// The order in which the products' kernels read a weight, and its making from a panel16.
//
// float32 is row-major, [N][K]. All other formats consist of fragments for the tensor cores'
// products of 16 outputs: [N/16][K/unit][32 lanes][16 bytes], so that a warp reads 512 consecutive
// bytes in one load, and these are the A operands of one or more `mma` instructions. Lane 4 g + t
// has outputs g and g + 8 of the tile. A product's order of inputs is free as long as both operands
// have the same: here, lane t takes inputs that are consecutive, which makes the loads of x wide.
// With word j of a lane's four words:
// clang-format off
//   bfloat16, float16: unit 16; halves 0, 1 are inputs 4 t + 2 (j / 2) + 0, 1 of output g + 8 (j % 2)
//   w8a16: unit 32; bytes 0, 2 are inputs i = 16 (j / 2) + 4 t + 2 (j % 2) and i + 1 of output g, as
//          int8; bytes 1, 3 are the same inputs of output g + 8
//   w4a16: unit 64; nibbles i and i + 4 (lowest first) are inputs 16 j + 4 t + 2 (i / 2) and the next
//          one of output g + 8 (i % 2)
//   w8a8:  unit 32; byte b is input 8 t + 4 (j / 2) + b of output g + 8 (j % 2), as int8
//   w4a8:  unit 64; low nibble b is input 32 (j / 2) + 8 t + b of output g + 8 (j % 2), and the high
//          nibbles are the four inputs behind them
// clang-format on
// Nibbles are q + 8. N is padded to 16; K to the unit (float32: 4), and w4 also to the group.
//
// Scales of w8 are [N]; scales and zero points of w4 are [N/16][groups][8][2], where pair g is for
// outputs g and g + 8. What is padding is zero.
#pragma once

#include <cstddef>

#include "cuda/views.h"
#include "ops/weight.h"

namespace ttsrt::cuda {

// Returns the format and sizes of a panel16 weight, without pointers.
ProductWeight product_weight(const ops::Weight& weight);

// Sizes in bytes of the three arrays; 0 where the weight has no scales or zero points.
std::size_t fragment_bytes(const ops::Weight& weight);
std::size_t scale_bytes(const ops::Weight& weight);
std::size_t zero_bytes(const ops::Weight& weight);

void write_fragments(const ops::Weight& weight, std::byte* out);
void write_scales(const ops::Weight& weight, std::byte* out);
void write_zeros(const ops::Weight& weight, std::byte* out);

// The same weight, bfloat16 or float16, as rows [N][stride], for kernels that take rows. Strides
// are whole units of 16 bytes; what is behind K is zero.
std::int64_t matrix_stride(const ops::Weight& weight);
std::size_t matrix_bytes(const ops::Weight& weight);
void write_matrix(const ops::Weight& weight, std::byte* out);

}  // namespace ttsrt::cuda
