// What the two kernels of attention over whole items on Hopper share: keys and values in boxes of
// 64 rows, which are counted from the begin of the segment, and queries of 64 rows, one for each
// warpgroup of a thread block. A row's sums depend on its segment alone, and not on the kernel.
#pragma once

#include "cuda/kernels/hopper.cuh"
#include "cuda/kernels/item_attention.cuh"
#include "cuda/kernels/wgmma_registers.cuh"

namespace ttsrt::cuda {

// Launched by item_attention_of_boxes(): whole pieces of segments, in blocks of five warpgroups.
void item_attention_of_pieces(const ItemAttentionArgs& args, cudaStream_t stream);

constexpr int kGroupQueries = 64;
constexpr int kKeys = kHeadBoxRows;
constexpr int kSteps = kItemHead / 16;
constexpr int kBoxBytes = kKeys * kBoxRowBytes;
constexpr int kStageBytes = 2 * kBoxBytes;  // keys, then values
constexpr float kLogOfTwo = 0.693147180559945309F;

// Loads a box of keys and one of values of a segment that begins with row `begin`.
__device__ __forceinline__ void load_keys(const ItemAttentionArgs& args, int begin, int kv_head,
                                          int box, std::byte* stage, Barrier& full) {
  const int row = begin + box * kKeys;
  const int keys_at = (args.heads + kv_head) * kItemHead;
  arrive_and_expect(full, kStageBytes);
  load_box(stage, args.boxes, keys_at, row, full);
  load_box(stage + kBoxBytes, args.boxes, keys_at + args.kv_heads * kItemHead, row, full);
}

// Values behind the segment may be anything, and a weight of zero doesn't hide NaN. Each warpgroup
// writes the same zeros, and waits for its threads before it mixes them.
__device__ __forceinline__ void clear_values(std::byte* values, int count) {
  auto* words = reinterpret_cast<uint4*>(values);
  constexpr int kRowWords = kBoxRowBytes / static_cast<int>(sizeof(uint4));
  for (int i = count * kRowWords + static_cast<int>(threadIdx.x) % kGroupThreads;
       i < kKeys * kRowWords; i += kGroupThreads)
    words[i] = uint4{};
  fence_for_async();
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
// Turns the weights of a box into operands, and begins to mix its values.
template <Element kElement>
__device__ __forceinline__ void mix(const float (&scores)[32], std::uint32_t values,
                                    std::uint32_t (&weights)[kKeys / 16][4], float (&mixed)[32]) {
#pragma unroll
  for (int k = 0; k < kKeys / 16; ++k) narrow_weights(kElement, scores + 8 * k, weights[k]);
  const std::uint64_t operand = operand_at(values);
  begin_products();
#pragma unroll
  for (int k = 0; k < kKeys / 16; ++k)
    WgmmaOfRegisters<kElement, true>::multiply(mixed, weights[k], operand + 128 * k, 1);
  commit_products();
}
#endif

__device__ __forceinline__ void store_mixed(const ItemAttentionArgs& args, const QueryTile& tile,
                                            int head, const RunningSoftmax& softmax,
                                            const float (&mixed)[32]) {
  const auto lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float inverse = softmax.inverse(half);
    const int query = static_cast<int>(threadIdx.x) / kWarp * 16 + lane / 4 + half * 8;
    if (query >= tile.rows) continue;
#pragma unroll
    for (int n = 0; n < kItemHead / 8; ++n) {
      const float* values = mixed + 4 * n + 2 * half;
      leave_pair(args, tile.first + query, head * kItemHead + n * 8 + lane % 4 * 2,
                 {__fmul_rn(values[0], inverse), __fmul_rn(values[1], inverse)});
    }
  }
}

}  // namespace ttsrt::cuda
