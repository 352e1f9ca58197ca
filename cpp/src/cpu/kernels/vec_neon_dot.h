// Byte products by Arm's dot product instruction, which handles four outputs.
#pragma once

#include "cpu/kernels/vec_neon.h"

namespace ttsrt::cpu {
namespace {

constexpr const char* kBytesBy = "sdot";

inline Ints dot_quads(const Quads& w, int8x16_t x, const Ints& sum) {
  return each([&](auto weights, auto part) { return vdotq_s32(part, weights, x); }, w, sum);
}

}  // namespace
}  // namespace ttsrt::cpu

#include "cpu/kernels/nibble_quads.h"
