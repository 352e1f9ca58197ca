// The product of a warpgroup whose first operand is rows in registers (wgmma.cuh), with few
// columns: 64 rows by so many outputs, and 16 inputs. The second operand lies in shared memory as
// pieces of 8 outputs by 16 bytes (conv_weights.h). Sums begin at 0 where `adds` is 0.
#pragma once

#include <cstdint>

#include "cuda/views.h"

namespace ttsrt::cuda {

// The second operand at a place in shared memory: a piece's other half is 128 bytes further on, and
// the next outputs are 256.
__device__ __forceinline__ std::uint64_t pieces_at(std::uint32_t address) {
  constexpr std::uint64_t kHalf = std::uint64_t{128 / 16} << 16;
  constexpr std::uint64_t kNext = std::uint64_t{256 / 16} << 32;
  return kNext | kHalf | ((address & 0x3FFFFU) >> 4);
}

template <Element kElement, int kOutputs>
struct WgmmaOfRows;

#define TTSRT_SUMS_4(i) "+f"(d[i]), "+f"(d[(i) + 1]), "+f"(d[(i) + 2]), "+f"(d[(i) + 3])
#define TTSRT_SUMS_12(i) TTSRT_SUMS_4(i), TTSRT_SUMS_4((i) + 4), TTSRT_SUMS_4((i) + 8)
#define TTSRT_SUMS_OF_8 TTSRT_SUMS_4(0)
#define TTSRT_SUMS_OF_32 TTSRT_SUMS_12(0), TTSRT_SUMS_4(12)
#define TTSRT_SUMS_OF_56 TTSRT_SUMS_12(0), TTSRT_SUMS_12(12), TTSRT_SUMS_4(24)
#define TTSRT_SUMS_OF_64 TTSRT_SUMS_OF_56, TTSRT_SUMS_4(28)
#define TTSRT_SUMS_OF_112 TTSRT_SUMS_OF_56, TTSRT_SUMS_12(28), TTSRT_SUMS_12(40), TTSRT_SUMS_4(52)
#define TTSRT_SUMS_OF_128 TTSRT_SUMS_OF_112, TTSRT_SUMS_4(56), TTSRT_SUMS_4(60)
#define TTSRT_NUMBERS_8 "%0, %1, %2, %3"
#define TTSRT_NUMBERS_32 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
#define TTSRT_NUMBERS_56                                                   \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27"
#define TTSRT_NUMBERS_112                                                  \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, " \
  "%30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, " \
  "%44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55"
#define TTSRT_NUMBERS_64                                                   \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define TTSRT_NUMBERS_128                                                            \
  TTSRT_NUMBERS_64                                                                   \
  ", "                                                                               \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define TTSRT_WGMMA(kElement, type, outputs, a0, a1, a2, a3, b, adds_at)                      \
  template <>                                                                                 \
  struct WgmmaOfRows<Element::kElement, outputs> {                                            \
    static __device__ __forceinline__ void multiply(float (&d)[outputs / 2],                  \
                                                    const std::uint32_t (&a)[4],              \
                                                    std::uint64_t weights, int adds) {        \
      asm volatile("{ .reg .pred p; setp.ne.b32 p, %" #adds_at                                \
                   ", 0; wgmma.mma_async.sync.aligned.m64n" #outputs "k16.f32." type "." type \
                   " {" TTSRT_NUMBERS_##outputs "}, {%" #a0 ", %" #a1 ", %" #a2 ", %" #a3     \
                                                "}, %" #b ", p, 1, 1, 0; }"                   \
                   : TTSRT_SUMS_OF_##outputs                                                  \
                   : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(weights), "r"(adds));    \
    }                                                                                         \
  };
#define TTSRT_WGMMA_OF_BOTH(outputs, a0, a1, a2, a3, b, adds_at)     \
  TTSRT_WGMMA(bfloat16, "bf16", outputs, a0, a1, a2, a3, b, adds_at) \
  TTSRT_WGMMA(float16, "f16", outputs, a0, a1, a2, a3, b, adds_at)
TTSRT_WGMMA_OF_BOTH(8, 4, 5, 6, 7, 8, 9)
TTSRT_WGMMA_OF_BOTH(32, 16, 17, 18, 19, 20, 21)
TTSRT_WGMMA_OF_BOTH(56, 28, 29, 30, 31, 32, 33)
TTSRT_WGMMA_OF_BOTH(64, 32, 33, 34, 35, 36, 37)
TTSRT_WGMMA_OF_BOTH(112, 56, 57, 58, 59, 60, 61)
TTSRT_WGMMA_OF_BOTH(128, 64, 65, 66, 67, 68, 69)
#undef TTSRT_SUMS_4
#undef TTSRT_SUMS_12
#undef TTSRT_SUMS_OF_8
#undef TTSRT_SUMS_OF_32
#undef TTSRT_SUMS_OF_56
#undef TTSRT_SUMS_OF_64
#undef TTSRT_SUMS_OF_112
#undef TTSRT_SUMS_OF_128
#undef TTSRT_NUMBERS_8
#undef TTSRT_NUMBERS_32
#undef TTSRT_NUMBERS_56
#undef TTSRT_NUMBERS_64
#undef TTSRT_NUMBERS_112
#undef TTSRT_NUMBERS_128
#undef TTSRT_WGMMA
#undef TTSRT_WGMMA_OF_BOTH

}  // namespace ttsrt::cuda
