// What a warp of linear_mma.cuh multiplies: a slice of K of its tiles, with groups of 8 rows.
//
// Few rows are bound by memory and by latency. Each warp then asks for several fragments of its
// weights before it reads anything else, and for the next one as soon as it has used one. Where one
// warp has one tile and narrow weights have to be converted, it converts the first of them before
// it waits for the kernel before.
#pragma once

#include "cuda/kernels/linear_formats.cuh"
#include "cuda/kernels/linear_products.cuh"

namespace ttsrt::cuda {

// How many loads are ahead of their use.
template <Format kFormat, int kGroups, int kTiles>
struct Ahead {
  using K = Kind<kFormat>;
  static constexpr int smaller(int a, int b) { return a < b ? a : b; }
  // Fragments of a tile. The sums of groups take registers, too.
  static constexpr int kMany = K::kHasGroups && kGroups == 4 ? 2 : 4;
  static constexpr int kUnits = kGroups == 1 && K::kSteps == 1 ? 8 : kMany / kTiles;
  // Steps whose inputs are loaded together: 8 loads, or 4 with the scales of w4a8.
  static constexpr int kBudget =
      kFormat == Format::w4a8 || kTiles == 4 || (K::kHasGroups && kTiles == 2) ? 4 : 8;
  static constexpr int kInputs = smaller(kUnits * K::kSteps, smaller(8, kBudget / kGroups));
  // Whether the weights of the first of these steps are converted before the wait.
  static constexpr bool kConvertsFirst =
      (kFormat == Format::w8a16 || kFormat == Format::w4a16) && kGroups == 1 && kTiles == 1;
};

template <Format kFormat, int kGroups, int kTiles, bool kGuarded>
struct Product {
  using K = Kind<kFormat>;
  using Loads = Ahead<kFormat, kGroups, kTiles>;
  static constexpr int kUnitInputs = K::kSteps * K::kStepInputs;
  static constexpr int kGroupSteps = 32 / K::kStepInputs;  // the shortest group of w4
  static constexpr int kConstants = ceil_div(Loads::kInputs, kGroupSteps);
  static constexpr int kPitch = kTiles * kTile + 4;  // of a row in shared memory, without conflicts

  // The operands of a warp's first kInputs steps.
  struct First {
    Operand operands[Loads::kInputs];
    GroupConstants constants[kConstants][kTiles];
  };

  const ProductArgs& args;
  int lane, slice, first_tile, first_row, num_rows;
  int begin, end;  // units of this warp
  // This lane's words of the first tile's next unit to load.
  const uint4* weights_from;
  // This lane's inputs of the units in `weights`, of the first group of rows; and how many inputs
  // and rows are left from there on.
  const typename K::Input* inputs_from;
  int inputs_left, rows_left;
  uint4 weights[Loads::kUnits][kTiles];
  typename K::Sum sums[kTiles][kGroups][4];
  float totals[K::kHasGroups ? kTiles : 1][K::kHasGroups ? kGroups : 1][4];

  __device__ __forceinline__ explicit Product(const ProductArgs& a) : args(a) {
    lane = static_cast<int>(threadIdx.x) % kWarp;
    slice = static_cast<int>(threadIdx.x) / kWarp;
    first_tile = static_cast<int>(blockIdx.x) * kTiles;
    first_row = static_cast<int>(blockIdx.y) * kGroups * kColumns;
    begin = min(slice * args.slice, args.units);
    end = min(begin + args.slice, args.units);
    weights_from = static_cast<const uint4*>(args.linear.weight.data) +
                   (static_cast<std::int64_t>(first_tile) * args.units + begin) * kWarp + lane;
    const int lane_inputs = lane % 4 * (K::kStepInputs / 4);
    const int first_input = begin * kUnitInputs + lane_inputs;
    inputs_from = inputs() + (first_row + lane / 4) * input_stride() + first_input;
    inputs_left = end * kUnitInputs - first_input;
    if constexpr (!K::kIsWhole)
      inputs_left = min(inputs_left, static_cast<int>(args.linear.weight.inputs) - first_input);
    rows_left = args.linear.max_rows - first_row - lane / 4;
#pragma unroll
    for (int m = 0; m < kTiles; ++m) {
#pragma unroll
      for (int n = 0; n < kGroups; ++n) {
#pragma unroll
        for (int c = 0; c < 4; ++c) sums[m][n][c] = 0;
        if constexpr (K::kHasGroups) {
#pragma unroll
          for (int c = 0; c < 4; ++c) totals[m][n][c] = 0.0F;
        }
      }
    }
  }

  // Loads the fragment of each tile that is `ahead` units behind `weights_from`, which is a number
  // that the compiler knows; zeros behind the slice, of which `num_left` units are left, and behind
  // the last output.
  __device__ __forceinline__ void load_weights(uint4 (&out)[kTiles], int ahead,
                                               int num_left) const {
    const int tiles = static_cast<int>(ceil_div<std::int64_t>(args.linear.weight.outputs, kTile));
#pragma unroll
    for (int m = 0; m < kTiles; ++m) {
      out[m] = uint4{};
      if (ahead >= num_left || first_tile + m >= tiles) continue;
      const std::int64_t tile_at = static_cast<std::int64_t>(m) * args.units * kWarp;
      out[m] = load_streaming(weights_from + tile_at + ahead * kWarp);
    }
  }

  __device__ __forceinline__ const typename K::Input* inputs() const {
    if constexpr (K::kIsWhole) {
      return args.inputs.q;
    } else {
      return args.linear.x;
    }
  }
  __device__ __forceinline__ std::int64_t input_stride() const {
    return K::kIsWhole ? args.linear.weight.padded_inputs : args.linear.x_stride;
  }

  // Loads this lane's inputs of a step of the units in `weights`; zeros behind the last input and
  // the slice. Rows are loaded up to the bound of the launch, because the true number is not there
  // yet; what a column of a product has does not get into the others.
  __device__ __forceinline__ typename K::Raw load_inputs(int n, int step) const {
    const bool is_row = n * kColumns < rows_left;
    const int k = step * K::kStepInputs;
    const auto* from = inputs_from + n * kColumns * input_stride() + k;
    if constexpr (!kGuarded) {
      return is_row && k < inputs_left ? *reinterpret_cast<const typename K::Raw*>(from)
                                       : typename K::Raw{};
    } else {
      float4 x = {};
      if (is_row && k < inputs_left) x.x = from[0];
      if (is_row && k + 1 < inputs_left) x.y = from[1];
      if (is_row && k + 2 < inputs_left) x.z = from[2];
      if (is_row && k + 3 < inputs_left) x.w = from[3];
      return x;
    }
  }

  // Loads scales and zero points of the group of a step.
  __device__ __forceinline__ void load_constants(GroupConstants (&out)[kTiles], int step) const {
    const ProductWeight& weight = args.linear.weight;
    const int groups = static_cast<int>(weight.padded_inputs) >> args.group_bits;
    const int group = step * K::kStepInputs >> args.group_bits;
    const int tiles = static_cast<int>(ceil_div<std::int64_t>(weight.outputs, kTile));
#pragma unroll
    for (int m = 0; m < kTiles; ++m) {
      out[m] = {0, 0x0808U};
      if (step >= end * K::kSteps || first_tile + m >= tiles) continue;
      const std::int64_t at =
          (static_cast<std::int64_t>(first_tile + m) * groups + group) * 8 + lane / 4;
      out[m].scales = static_cast<const std::uint32_t*>(weight.scales)[at];
      if (weight.zeros != nullptr)
        out[m].zeros = reinterpret_cast<const std::uint16_t*>(weight.zeros)[at];
    }
  }

  // Loads scales and sums of the inputs of a step's group, for this lane's two result columns.
  __device__ __forceinline__ uint4 load_scaled(int n, int step) const {
    const int row = first_row + n * kColumns + lane % 4 * 2;
    if (step >= end * K::kSteps || row >= args.linear.max_rows) return {};
    const int group = step * K::kStepInputs >> args.group_bits;
    const std::int64_t at = static_cast<std::int64_t>(group) * args.inputs.row_pitch + row;
    return *reinterpret_cast<const uint4*>(args.inputs.scaled + at);
  }

  // Adds a group's sums to the totals.
  __device__ __forceinline__ void close_group(int m, int n, const GroupConstants& constants,
                                              const uint4& scaled) {
    if constexpr (K::kHasGroups) {
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        float sum = 0.0F;
        if constexpr (K::kIsWhole) {
          const auto inputs = static_cast<std::int32_t>(c % 2 == 0 ? scaled.y : scaled.w);
          const float scale = __uint_as_float(c % 2 == 0 ? scaled.x : scaled.z);
          sum = static_cast<float>(sums[m][n][c] - constants.zero(c / 2) * inputs) * scale;
        } else {
          sum = sums[m][n][c];
        }
        totals[m][n][c] = fmaf(constants.scale(c / 2), sum, totals[m][n][c]);
        sums[m][n][c] = 0;
      }
    }
  }

  // Converts the weights of the first kInputs steps.
  __device__ __forceinline__ void convert(First& first) const {
    static_assert(kTiles == 1);
#pragma unroll
    for (int i = 0; i < Loads::kInputs; ++i) {
      auto& group = first.constants[i / kGroupSteps];
      if constexpr (K::kHasGroups) {
        if (i % kGroupSteps == 0) load_constants(group, begin * K::kSteps + i);
      }
      first.operands[i] = K::weights(weights[i / K::kSteps][0], i % K::kSteps, group[0]);
    }
  }

  // Multiplies kInputs steps, from step kFirst of the units in `weights` on. `first_unit` is the
  // first of these. With kHasFirst, `first` has their operands.
  template <int kFirst, bool kHasFirst = false>
  __device__ __forceinline__ void multiply_steps(int first_unit, const First* first = nullptr) {
    typename K::Raw raw[Loads::kInputs][kGroups];
    uint4 scaled[Loads::kInputs][kGroups] = {};
    GroupConstants constants[kConstants][kTiles] = {};
    const auto& groups = kHasFirst ? first->constants : constants;
    const int base = first_unit * K::kSteps + kFirst;
#pragma unroll
    for (int i = 0; i < Loads::kInputs; ++i) {
      if constexpr (K::kHasGroups && !kHasFirst) {
        if (i % kGroupSteps == 0) load_constants(constants[i / kGroupSteps], base + i);
      }
#pragma unroll
      for (int n = 0; n < kGroups; ++n) {
        raw[i][n] = load_inputs(n, kFirst + i);
        if constexpr (K::kHasGroups && K::kIsWhole) scaled[i][n] = load_scaled(n, base + i);
      }
    }
#pragma unroll
    for (int i = 0; i < Loads::kInputs; ++i) {
      constexpr int kSteps = K::kSteps;
      const int unit = (kFirst + i) / kSteps;
      if (first_unit + unit >= end) return;
      uint2 inputs[kGroups];
#pragma unroll
      for (int n = 0; n < kGroups; ++n) inputs[n] = K::inputs(raw[i][n]);
#pragma unroll
      for (int m = 0; m < kTiles; ++m) {
        const GroupConstants& group = groups[i / kGroupSteps][m];
        const Operand operand = kHasFirst
                                    ? first->operands[i]
                                    : K::weights(weights[unit][m], (kFirst + i) % kSteps, group);
#pragma unroll
        for (int n = 0; n < kGroups; ++n) K::multiply(operand, inputs[n], sums[m][n]);
      }
      if ((kFirst + i) % kSteps == kSteps - 1)
        load_weights(weights[unit], unit, end - first_unit - Loads::kUnits);
      if constexpr (K::kHasGroups) {
        const int group_mask = (1 << args.group_bits) - 1;
        if (((base + i + 1) * K::kStepInputs & group_mask) != 0) continue;
#pragma unroll
        for (int m = 0; m < kTiles; ++m) {
#pragma unroll
          for (int n = 0; n < kGroups; ++n)
            close_group(m, n, groups[i / kGroupSteps][m], scaled[i][n]);
        }
      }
    }
  }

  // Multiplies the units that `weights` holds, from step kFirst on, and loads those behind them.
  template <int kFirst = 0>
  __device__ __forceinline__ void multiply_units(int first_unit) {
    if constexpr (kFirst < Loads::kUnits * K::kSteps) {
      if (first_unit + kFirst / K::kSteps >= end) return;
      multiply_steps<kFirst>(first_unit);
      multiply_units<kFirst + Loads::kInputs>(first_unit);
    }
  }

  // Multiplies all units of this warp; `first` has the operands of its first steps, if they have
  // been converted.
  __device__ __forceinline__ void multiply_all(const First& first) {
    int unit = begin;
    if (Loads::kConvertsFirst && unit < end) {
      weights_from += Loads::kUnits * kWarp;
      multiply_steps<0, Loads::kConvertsFirst>(unit, &first);
      multiply_units<Loads::kInputs>(unit);
      unit = next_units(unit);
    }
    while (unit < end) {
      weights_from += Loads::kUnits * kWarp;
      multiply_units(unit);
      unit = next_units(unit);
    }
  }

  __device__ __forceinline__ int next_units(int unit) {
    inputs_from += Loads::kUnits * kUnitInputs;
    inputs_left -= Loads::kUnits * kUnitInputs;
    return unit + Loads::kUnits;
  }
};

}  // namespace ttsrt::cuda
