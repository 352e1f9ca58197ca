// Attention of one place of an autoregressive pick over the places before it, by one warp, of one
// head: what the kernels that run places share.
#pragma once

#include "cuda/kernels/attend.cuh"

namespace ttsrt::cuda {

// The kept places of one head of a group.
struct KeptSource {
  float* head = nullptr;      // the key of place 0
  std::int64_t kv_width = 0;  // from a key to its value; twice that to the next key

  __device__ std::int32_t id(int block) const { return block; }
  __device__ Part part(std::int32_t id) const {
    const float* keys = head + std::int64_t{id} * kCacheBlock * 2 * kv_width;
    return {reinterpret_cast<const std::byte*>(keys),
            reinterpret_cast<const std::byte*>(keys + kv_width),
            2 * kv_width * std::int64_t{sizeof(float)}};
  }
};

template <typename S>
struct LocalShared {
  alignas(16) float query[S::kDims];
  alignas(16) float own[2][S::kDims];  // key and value
};

template <typename S>
struct PlaceAttention {
  static constexpr int kPer = S::kDims / 32;  // dimensions of a lane when it turns
  Sweep<S, KeptSource, 1, true> sweep;

  // Asks for the places before.
  __device__ void start(const KeptSource& kept, std::int32_t place, std::int32_t head_dim) {
    sweep.source = kept;
    sweep.seen = place + 1;
    sweep.head_dim = head_dim;
    sweep.start(0);
  }

  // Turns the vectors [head_dim] of this place into `shared`, where they may be already, and keeps
  // key and value if `keeps`.
  __device__ void turn(const float* query, const float* key, const float* value,
                       const Angles& angles, LocalShared<S>& shared, bool keeps) {
    const int lane = static_cast<int>(threadIdx.x % 32);
    float made[kPer][3];
#pragma unroll
    for (int i = 0; i < kPer; ++i) {
      const int d = i * 32 + lane;
      const bool is_there = d < sweep.head_dim;
      made[i][0] = is_there ? turned(query, d, angles) : 0.0F;
      made[i][1] = is_there ? turned(key, d, angles) : 0.0F;
      made[i][2] = is_there ? value[d] : 0.0F;
    }
    __syncwarp();
    float* to = sweep.source.head + (sweep.seen - 1) * 2 * sweep.source.kv_width;
#pragma unroll
    for (int i = 0; i < kPer; ++i) {
      const int d = i * 32 + lane;
      shared.query[d] = made[i][0];
      shared.own[0][d] = made[i][1];
      shared.own[1][d] = made[i][2];
      if (!keeps || d >= sweep.head_dim) continue;
      to[d] = made[i][1];
      to[sweep.source.kv_width + d] = made[i][2];
    }
    __syncwarp();
  }

  // Calls store(first, values) for each vector of kVec dimensions of the result that a lane has.
  template <typename Store>
  __device__ void mix(const LocalShared<S>& shared, float scale, const Store& store) {
    float floats[S::kFloats];
    read_query<S>(shared.query, floats);
    const OwnVectors own = {{reinterpret_cast<const std::byte*>(shared.own[0]),
                             reinterpret_cast<const std::byte*>(shared.own[1])},
                            {}};
    Softmax<S> softmax;
    for (; sweep.is_active(); sweep.next()) sweep.add(floats, scale, own, PlainScores{}, softmax);
    softmax.merge_groups();
    if (S::group() != 0) return;
#pragma unroll
    for (int c = 0; c < S::kChunks; ++c) {
      if (!S::has(c, sweep.head_dim)) continue;
      float values[S::kVec];
#pragma unroll
      for (int i = 0; i < S::kVec; ++i) values[i] = softmax.mixed[c * S::kVec + i] / softmax.sum;
      store(S::first(c), values);
    }
  }
};

}  // namespace ttsrt::cuda
