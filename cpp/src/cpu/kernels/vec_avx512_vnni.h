// Byte products on AVX-512 VNNI: one instruction multiplies 16 groups of four bytes and adds them.
#pragma once

#include "cpu/kernels/vec_avx512.h"

namespace ttsrt::cpu {
namespace {

constexpr const char* kBytesBy = "vpdpbusd";

// Four unsigned bytes of each of 16 outputs, and four int8 of an input.
struct Quads {
  __m512i v;
};
inline Quads byte_quads(Block a) { return {a.v}; }
template <int N>
Quads nibble_quads(Block a) {
  return {_mm512_and_si512(_mm512_srli_epi16(a.v, 4 * N), _mm512_set1_epi8(15))};
}
inline Quads set_quad(const uint32_t* p) { return {_mm512_set1_epi32(static_cast<int32_t>(*p))}; }
inline Ints dot_quads(const Quads& w, const Quads& x, Ints sum) {
  return ints_of(_mm512_dpbusd_epi32(raw(sum), w.v, x.v));
}

}  // namespace
}  // namespace ttsrt::cpu

#include "cpu/kernels/nibble_quads.h"
