// What the product kernels know of the formats of weights (cuda/fragments.h): how words of a
// fragment become the A operand of a product on tensor cores, and inputs the B operand.
//
// One step is one `mma`: 16 outputs, 8 rows, and 16 inputs (32 of int8). One load of 16 bytes has
// the weights of kSteps steps. All conversions of weights are exact: integers up to 8 bits are
// bfloat16 numbers, too. Lane 4 g + t holds the A operand's rows g and g + 8, the B operand's
// column g and the result's columns 2 t and 2 t + 1.
#pragma once

#include "cuda/device.cuh"

namespace ttsrt::cuda {

// The A operand: words 0 and 2 are of output g, words 1 and 3 of output g + 8.
struct Operand {
  std::uint32_t word[4];
};

// The constants of a w4 group for outputs g and g + 8 of a tile.
struct GroupConstants {
  std::uint32_t scales = 0;  // two float16
  std::uint32_t zeros = 0;   // two bytes

  __device__ float scale(int half) const {
    const __half2 pair = *reinterpret_cast<const __half2*>(&scales);
    return half == 0 ? __low2float(pair) : __high2float(pair);
  }
  __device__ int zero(int half) const { return static_cast<int>(zeros >> (8 * half) & 0xFFU); }
};

// Bits of the bfloat16 numbers 128 + n for n below 128, two at a time.
constexpr std::uint32_t kBias = 0x43004300U;

__device__ inline std::uint32_t subtract_pairs(std::uint32_t a, std::uint32_t b) {
  const __nv_bfloat162 difference = __hsub2(*reinterpret_cast<const __nv_bfloat162*>(&a),
                                            *reinterpret_cast<const __nv_bfloat162*>(&b));
  return *reinterpret_cast<const std::uint32_t*>(&difference);
}

// The int8 in bytes 0 and 2: (128 + low 7 bits) - (128 + 128 if negative).
__device__ inline std::uint32_t bytes_to_pair(std::uint32_t bytes) {
  return subtract_pairs((bytes & 0x007F007FU) | kBias, (bytes & 0x00800080U) | kBias);
}

__device__ inline std::uint32_t word_of(const uint4& words, int i) {
  return i == 0 ? words.x : i == 1 ? words.y : i == 2 ? words.z : words.w;
}

template <Format kFormat>
struct Kind;

struct FloatKind {
  using Sum = float;
  using Input = float;
  using Raw = float4;  // a lane's inputs of one step, as they are loaded
  static constexpr int kStepInputs = 16;
  static constexpr bool kHasGroups = false;
  static constexpr bool kIsWhole = false;  // inputs are int8

  static __device__ uint2 inputs(float4 x) {
    return {pack_bfloat16(x.x, x.y), pack_bfloat16(x.z, x.w)};
  }
  static __device__ void multiply(const Operand& a, uint2 b, float (&sum)[4]) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a.word[0]), "r"(a.word[1]), "r"(a.word[2]), "r"(a.word[3]), "r"(b.x), "r"(b.y));
  }
};

template <>
struct Kind<Format::bfloat16> : FloatKind {
  static constexpr int kSteps = 1;
  static __device__ Operand weights(const uint4& w, int, const GroupConstants&) {
    return {{w.x, w.y, w.z, w.w}};
  }
};

template <>
struct Kind<Format::float16> : Kind<Format::bfloat16> {
  static __device__ uint2 inputs(float4 x) {
    return {pack_float16(x.x, x.y), pack_float16(x.z, x.w)};
  }
  static __device__ void multiply(const Operand& a, uint2 b, float (&sum)[4]) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a.word[0]), "r"(a.word[1]), "r"(a.word[2]), "r"(a.word[3]), "r"(b.x), "r"(b.y));
  }
};

template <>
struct Kind<Format::w8a16> : FloatKind {
  static constexpr int kSteps = 2;
  static __device__ Operand weights(const uint4& w, int step, const GroupConstants&) {
    const std::uint32_t first = word_of(w, 2 * step);
    const std::uint32_t second = word_of(w, 2 * step + 1);
    return {{bytes_to_pair(first), bytes_to_pair(first >> 8), bytes_to_pair(second),
             bytes_to_pair(second >> 8)}};
  }
};

template <>
struct Kind<Format::w4a16> : FloatKind {
  static constexpr int kSteps = 4;
  static constexpr bool kHasGroups = true;
  static __device__ Operand weights(const uint4& w, int step, const GroupConstants& group) {
    const std::uint32_t word = word_of(w, step);
    const std::uint32_t zero[2] = {static_cast<std::uint32_t>(group.zero(0)) * 0x00010001U | kBias,
                                   static_cast<std::uint32_t>(group.zero(1)) * 0x00010001U | kBias};
    Operand a;
#pragma unroll
    for (int i = 0; i < 4; ++i)
      a.word[i] = subtract_pairs((word >> (4 * i) & 0x000F000FU) | kBias, zero[i % 2]);
    return a;
  }
};

struct WholeKind {
  using Sum = std::int32_t;
  using Input = std::int8_t;
  using Raw = uint2;
  static constexpr int kStepInputs = 32;
  static constexpr bool kIsWhole = true;

  static __device__ uint2 inputs(uint2 x) { return x; }
  static __device__ void multiply(const Operand& a, uint2 b, std::int32_t (&sum)[4]) {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
        : "r"(a.word[0]), "r"(a.word[1]), "r"(a.word[2]), "r"(a.word[3]), "r"(b.x), "r"(b.y));
  }
};

template <>
struct Kind<Format::w8a8> : WholeKind {
  static constexpr int kSteps = 1;
  static constexpr bool kHasGroups = false;
  static __device__ Operand weights(const uint4& w, int, const GroupConstants&) {
    return {{w.x, w.y, w.z, w.w}};
  }
};

// Nibbles are multiplied as they are stored; the sum of the inputs then gives the correction for
// the zero point.
template <>
struct Kind<Format::w4a8> : WholeKind {
  static constexpr int kSteps = 2;
  static constexpr bool kHasGroups = true;
  static __device__ Operand weights(const uint4& w, int step, const GroupConstants&) {
    const std::uint32_t first = word_of(w, 2 * step);
    const std::uint32_t second = word_of(w, 2 * step + 1);
    return {{first & 0x0F0F0F0FU, second & 0x0F0F0F0FU, first >> 4 & 0x0F0F0F0FU,
             second >> 4 & 0x0F0F0F0FU}};
  }
};

}  // namespace ttsrt::cuda
