// Byte products on base NEON, by multiplications that widen to 16 bits.
#pragma once

#include "cpu/kernels/vec_neon.h"

namespace ttsrt::cpu {
namespace {

constexpr const char* kBytesBy = "smull";

// The sum of two products fits in 16 bits: 2 * 128 * 127 < 2^15.
inline Ints dot_quads(const Quads& w, int8x16_t x, const Ints& sum) {
  return each(
      [&](auto weights, auto part) {
        const int16x8_t low = vmull_s8(vget_low_s8(weights), vget_low_s8(x));
        return vpadalq_s16(part, vpaddq_s16(low, vmull_high_s8(weights, x)));
      },
      w, sum);
}

}  // namespace
}  // namespace ttsrt::cpu

#include "cpu/kernels/nibble_quads.h"
