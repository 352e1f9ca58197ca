// The products of a warpgroup on Hopper's tensor cores: 64 outputs of the first operand by so many
// of the second, and 16 inputs.
//
// The sums of thread t of the warpgroup, with w = t / 32, g = t % 32 / 4 and c = t % 4: d[4 j + 0,
// 1] are of row 16 w + g and columns 8 j + 2 c + 0, 1; d[4 j + 2, 3] of row 16 w + g + 8. Operands
// in shared memory are named by descriptors (hopper.cuh). Where `adds` is 0, the sums begin at 0.
#pragma once

#include <cstdint>

#include "cuda/views.h"

namespace ttsrt::cuda {

// Both operands in shared memory, inputs side by side.
template <Element kElement, int kColumns>
struct Wgmma;

// An instruction names each of its registers: their numbers, and the sums behind them.
#define TTSRT_NUMBERS_64                                                             \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, " \
  "%18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define TTSRT_NUMBERS_96 \
  TTSRT_NUMBERS_64       \
  ", "                   \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47"
#define TTSRT_NUMBERS_128 \
  TTSRT_NUMBERS_96        \
  ", "                    \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define TTSRT_NUMBERS_160 \
  TTSRT_NUMBERS_128       \
  ", "                    \
  "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79"
#define TTSRT_NUMBERS_224                                                            \
  TTSRT_NUMBERS_160                                                                  \
  ", "                                                                               \
  "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, " \
  "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, " \
  "%110, %111"
#define TTSRT_SUMS_4(i) "+f"(d[i]), "+f"(d[(i) + 1]), "+f"(d[(i) + 2]), "+f"(d[(i) + 3])
#define TTSRT_SUMS_8(i) TTSRT_SUMS_4(i), TTSRT_SUMS_4((i) + 4)
#define TTSRT_SUMS_16(i) TTSRT_SUMS_8(i), TTSRT_SUMS_8((i) + 8)
#define TTSRT_SUMS_OF_64 TTSRT_SUMS_16(0), TTSRT_SUMS_16(16)
#define TTSRT_SUMS_OF_96 TTSRT_SUMS_OF_64, TTSRT_SUMS_16(32)
#define TTSRT_SUMS_OF_128 TTSRT_SUMS_OF_96, TTSRT_SUMS_16(48)
#define TTSRT_SUMS_OF_160 TTSRT_SUMS_OF_128, TTSRT_SUMS_16(64)
#define TTSRT_SUMS_OF_224 TTSRT_SUMS_OF_160, TTSRT_SUMS_16(80), TTSRT_SUMS_16(96)
#define TTSRT_WGMMA(kElement, type, columns, first, second, third)                               \
  template <>                                                                                    \
  struct Wgmma<Element::kElement, columns> {                                                     \
    static __device__ __forceinline__ void multiply(float (&d)[columns / 2], std::uint64_t a,    \
                                                    std::uint64_t b, int adds) {                 \
      asm volatile("{ .reg .pred p; setp.ne.b32 p, %" #third                                     \
                   ", 0; wgmma.mma_async.sync.aligned.m64n" #columns "k16.f32." type "." type    \
                   " {" TTSRT_NUMBERS_##columns "}, %" #first ", %" #second ", p, 1, 1, 0, 0; }" \
                   : TTSRT_SUMS_OF_##columns                                                     \
                   : "l"(a), "l"(b), "r"(adds));                                                 \
    }                                                                                            \
  };
#define TTSRT_WGMMA_OF_BOTH(columns, first, second, third)     \
  TTSRT_WGMMA(bfloat16, "bf16", columns, first, second, third) \
  TTSRT_WGMMA(float16, "f16", columns, first, second, third)
TTSRT_WGMMA_OF_BOTH(64, 32, 33, 34)
TTSRT_WGMMA_OF_BOTH(96, 48, 49, 50)
TTSRT_WGMMA_OF_BOTH(128, 64, 65, 66)
TTSRT_WGMMA_OF_BOTH(160, 80, 81, 82)
TTSRT_WGMMA_OF_BOTH(224, 112, 113, 114)
#undef TTSRT_NUMBERS_64
#undef TTSRT_SUMS_OF_64
#undef TTSRT_NUMBERS_96
#undef TTSRT_SUMS_OF_96
#undef TTSRT_NUMBERS_128
#undef TTSRT_SUMS_OF_128
#undef TTSRT_NUMBERS_160
#undef TTSRT_SUMS_OF_160
#undef TTSRT_NUMBERS_224
#undef TTSRT_SUMS_OF_224
#undef TTSRT_SUMS_4
#undef TTSRT_SUMS_8
#undef TTSRT_SUMS_16
#undef TTSRT_WGMMA
#undef TTSRT_WGMMA_OF_BOTH

}  // namespace ttsrt::cuda
