// What becomes of the sums of a narrow convolution: bias, addend, scale and what was there before,
// and the half-snake of that.
//
// A thread has two neighbouring outputs of every eight, of two rows. All that it reads it asks for
// before it writes anything, since it would wait for each pair alone otherwise.
#pragma once

#include "cuda/kernels/narrow.cuh"
#include "cuda/kernels/snake.cuh"

namespace ttsrt::cuda {

// Leaves bias, alpha and what sin^2 is multiplied by of each output of a block: [3][kOutputs].
template <int kOutputs, int kThreads>
__device__ __forceinline__ void load_columns(const NarrowConvArgs& args, std::int32_t first_output,
                                             float* columns) {
  for (auto i = static_cast<int>(threadIdx.x); i < kOutputs; i += kThreads) {
    const std::int32_t output = first_output + i;
    const bool is_there = output < args.outputs;
    SnakeColumn of;
    if (is_there && args.has_snake) of = snake_column(args.snake, output);
    columns[i] = is_there && args.bias != nullptr ? args.bias[output] : 0.0F;
    columns[kOutputs + i] = of.alpha;
    columns[2 * kOutputs + i] = of.inverse;
  }
}

template <int kOutputs>
class ConvEpilogue {
 public:
  // Of sums of two rows 8 apart: of output 8 n and 8 n + 1 they are at 4 n, and of the second row
  // behind them.
  using Sums = float (&)[kOutputs / 2];

  __device__ __forceinline__ ConvEpilogue(const NarrowConvArgs& args, const float* columns,
                                          std::int32_t row, std::int32_t end_row,
                                          std::int32_t first_output)
      : args_(args),
        columns_(columns + threadIdx.x % 4 * 2),
        row_(row),
        end_row_(end_row),
        output_(first_output + static_cast<std::int32_t>(threadIdx.x % 4 * 2)) {}

  // Changes the sums.
  __device__ __forceinline__ void finish(Sums sums) const {
    add_bias(sums);
    if (args_.addend != nullptr) add_rows(args_.addend, sums);
#pragma unroll
    for (int i = 0; i < kOutputs / 2; ++i) sums[i] = __fmul_rn(args_.scale, sums[i]);
    if (args_.accumulates) add_rows(args_.out, sums);
    if (args_.out != nullptr) store_rows(args_.out, sums);
    if (!args_.has_snake) return;
    take_snake(sums);
    if (args_.snake_out != nullptr) store_rows(args_.snake_out, sums);
    if (args_.snake_narrow.data != nullptr) store_narrow_rows(sums);
  }

 private:
  static constexpr int kPairs = kOutputs / 8;

  __device__ __forceinline__ bool has_row(int half) const { return row_ + half * 8 < end_row_; }
  __device__ __forceinline__ bool has(int n, int i) const {
    return output_ + n * 8 + i < args_.outputs;
  }
  __device__ __forceinline__ bool has_pairs() const { return args_.outputs % 2 == 0; }
  __device__ __forceinline__ std::int64_t at(int half) const {
    return std::int64_t{row_ + half * 8} * args_.outputs + output_;
  }

  __device__ __forceinline__ void add_bias(Sums sums) const {
#pragma unroll
    for (int n = 0; n < kPairs; ++n) {
      const float2 bias = *reinterpret_cast<const float2*>(columns_ + n * 8);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        sums[4 * n + 2 * half] = __fadd_rn(sums[4 * n + 2 * half], bias.x);
        sums[4 * n + 2 * half + 1] = __fadd_rn(sums[4 * n + 2 * half + 1], bias.y);
      }
    }
  }

  // Adds rows of [rows, outputs].
  __device__ __forceinline__ void add_rows(const float* rows, Sums sums) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if (!has_row(half)) continue;
      const float* from = rows + at(half);
      if (has_pairs()) {
#pragma unroll
        for (int n = 0; n < kPairs; ++n) {
          if (!has(n, 0)) continue;
          const float2 pair = *reinterpret_cast<const float2*>(from + n * 8);
          sums[4 * n + 2 * half] = __fadd_rn(pair.x, sums[4 * n + 2 * half]);
          sums[4 * n + 2 * half + 1] = __fadd_rn(pair.y, sums[4 * n + 2 * half + 1]);
        }
      } else {
#pragma unroll
        for (int i = 0; i < 2 * kPairs; ++i) {
          float& sum = sums[i / 2 * 4 + 2 * half + i % 2];
          if (has(i / 2, i % 2)) sum = __fadd_rn(from[i / 2 * 8 + i % 2], sum);
        }
      }
    }
  }

  __device__ __forceinline__ void store_rows(float* rows, Sums sums) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if (!has_row(half)) continue;
      float* to = rows + at(half);
#pragma unroll
      for (int n = 0; n < kPairs; ++n) {
        const float2 pair = {sums[4 * n + 2 * half], sums[4 * n + 2 * half + 1]};
        if (has_pairs()) {
          if (has(n, 0)) *reinterpret_cast<float2*>(to + n * 8) = pair;
        } else {
          if (has(n, 0)) to[n * 8] = pair.x;
          if (has(n, 1)) to[n * 8 + 1] = pair.y;
        }
      }
    }
  }

  // What is behind the last output is zero already: it has neither weights nor bias.
  __device__ __forceinline__ void take_snake(Sums sums) const {
#pragma unroll
    for (int n = 0; n < kPairs; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const SnakeColumn of = {columns_[kOutputs + n * 8 + i], columns_[2 * kOutputs + n * 8 + i]};
        const bool is_curved = output_ + n * 8 + i < args_.snake.curved;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          float& sum = sums[4 * n + 2 * half + i];
          sum = snake_of(of, is_curved, args_.snake.slope, sum);
        }
      }
    }
  }

  __device__ __forceinline__ void store_narrow_rows(Sums sums) const {
    const NarrowRows& narrow = args_.snake_narrow;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if (!has_row(half)) continue;
      auto* to =
          static_cast<std::uint16_t*>(narrow.data) + (row_ + half * 8) * narrow.stride + output_;
#pragma unroll
      for (int n = 0; n < kPairs; ++n) {
        if (!has(n, 0)) continue;
        *reinterpret_cast<std::uint32_t*>(to + n * 8) =
            narrowed(narrow.element, sums[4 * n + 2 * half], sums[4 * n + 2 * half + 1]);
      }
    }
  }

  const NarrowConvArgs& args_;
  const float* columns_;
  std::int32_t row_, end_row_, output_;
};

}  // namespace ttsrt::cuda
