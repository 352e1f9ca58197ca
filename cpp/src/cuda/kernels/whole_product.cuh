// What the two kernels of products of whole items on Hopper share: the size of their tiles of
// outputs, and the epilogue of a row's sums, so that their bits are equal.
#pragma once

#include "cuda/kernels/hopper.cuh"
#include "cuda/kernels/item_attention.cuh"

namespace ttsrt::cuda {

// Launched by whole_product(): tiles of `rows` rows, one of kResidentRows, in persistent thread
// blocks.
void resident_product(const WholeProductArgs& args, std::int32_t rows, cudaStream_t stream);

constexpr int kOutputs = kWeightBoxRows;  // of a tile
constexpr int kGroupOutputs = 64;         // of a warpgroup

// The index of what the epilogue of a row reads: its schedule row (gate), or its position (heads).
__device__ __forceinline__ int place_of(const WholeProductArgs& args, std::int64_t row) {
  if (args.end == ProductEnd::store) return 0;
  return args.end == ProductEnd::gate ? args.rows.schedule_row[row] : args.rows.position[row];
}

// What the epilogue of four outputs of a row reads.
struct Reads {
  float4 first = {};   // out, or cosines
  float4 second = {};  // gates, or sines
};

// The epilogue of four outputs, by one lane.
struct Quad {
  const WholeProductArgs& args;
  int output;  // the first
  float4 bias = {};
  bool is_turned = false;  // rotated by a rope
  bool is_value = false;

  __device__ Quad(const WholeProductArgs& a, int first) : args(a), output(first) {
    if (is_inside() && a.bias != nullptr) bias = *reinterpret_cast<const float4*>(a.bias + output);
    if (a.end != ProductEnd::heads) return;
    const int head = output / kItemHead;
    is_value = head >= a.heads + a.kv_heads;
    const int in_kind = head < a.heads ? head : head - a.heads;
    is_turned = !is_value && a.rope != nullptr && (a.rope_heads == 0 || in_kind < a.rope_heads);
  }
  __device__ bool is_inside() const { return output < args.outputs; }

  // `place` is that of place_of().
  __device__ __forceinline__ Reads read(std::int64_t row, int place) const {
    Reads reads;
    if (!is_inside()) return reads;
    if (args.end == ProductEnd::heads) {
      if (!is_turned) return reads;
      const float* angles = args.rope + std::int64_t{place} * kItemHead + output % (kItemHead / 2);
      reads.first = *reinterpret_cast<const float4*>(angles);
      reads.second = *reinterpret_cast<const float4*>(angles + kItemHead / 2);
    } else if (args.end == ProductEnd::gate) {
      reads.first = *out_of(row);
      reads.second = *reinterpret_cast<const float4*>(args.schedule + place * args.schedule_width +
                                                      args.gate + output);
    } else if (args.accumulates) {
      reads.first = *out_of(row);
    }
    return reads;
  }

  // All lanes of the warp take part; `is_there` says whether the row is one of the launch.
  __device__ __forceinline__ void end(std::int64_t row, bool is_there, float4 sum,
                                      const Reads& reads) const {
    const float4 value = activated_of(sum);
    if (args.end == ProductEnd::heads) {
      store_head(row, is_there, value, reads);
    } else if (is_there && is_inside()) {
      store(row, value, reads);
    }
  }

 private:
  __device__ float4* out_of(std::int64_t row) const {
    return reinterpret_cast<float4*>(args.out + row * args.outputs + output);
  }

  __device__ __forceinline__ float4 activated_of(float4 sum) const {
    const float4 x = {__fadd_rn(sum.x, bias.x), __fadd_rn(sum.y, bias.y), __fadd_rn(sum.z, bias.z),
                      __fadd_rn(sum.w, bias.w)};
    if (args.activate == Activation::none) return x;
    if (args.activate == Activation::gelu_tanh)
      return {gelu_of_tanh(x.x), gelu_of_tanh(x.y), gelu_of_tanh(x.z), gelu_of_tanh(x.w)};
    return {activated(args.activate, x.x), activated(args.activate, x.y),
            activated(args.activate, x.z), activated(args.activate, x.w)};
  }

  __device__ __forceinline__ void store(std::int64_t row, float4 value, const Reads& reads) const {
    const float4& before = reads.first;
    if (args.end == ProductEnd::gate) {
      const float4& gate = reads.second;
      value = {__fmaf_rn(value.x, gate.x, before.x), __fmaf_rn(value.y, gate.y, before.y),
               __fmaf_rn(value.z, gate.z, before.z), __fmaf_rn(value.w, gate.w, before.w)};
    } else if (args.accumulates) {
      value = {__fadd_rn(before.x, value.x), __fadd_rn(before.y, value.y),
               __fadd_rn(before.z, value.z), __fadd_rn(before.w, value.w)};
    }
    if (args.out != nullptr) *out_of(row) = value;
    if (args.narrow.data != nullptr) store_narrow(args.narrow, row, output, value);
  }

  // The other half of a head of 64 dimensions is 8 lanes away.
  __device__ __forceinline__ void store_head(std::int64_t row, bool is_there, float4 value,
                                             const Reads& reads) const {
    const float4 other = {
        __shfl_xor_sync(kAllLanes, value.x, 8), __shfl_xor_sync(kAllLanes, value.y, 8),
        __shfl_xor_sync(kAllLanes, value.z, 8), __shfl_xor_sync(kAllLanes, value.w, 8)};
    if (!is_there || !is_inside()) return;
    if (is_turned) {
      const float4 &cosine = reads.first, &sine = reads.second;
      const bool is_low = output % kItemHead < kItemHead / 2;
      value = {turned_pair(value.x, other.x, cosine.x, sine.x, is_low),
               turned_pair(value.y, other.y, cosine.y, sine.y, is_low),
               turned_pair(value.z, other.z, cosine.z, sine.z, is_low),
               turned_pair(value.w, other.w, cosine.w, sine.w, is_low)};
    }
    if (!is_value) {
      value = {finite_or_nan(args.element, value.x), finite_or_nan(args.element, value.y),
               finite_or_nan(args.element, value.z), finite_or_nan(args.element, value.w)};
    }
    store_narrow(args.narrow, row, output, value);
  }
};

}  // namespace ttsrt::cuda
