// Attention of whole items on Hopper: heads of 64 dimensions, by products of warpgroups.
//
// This file has the thread blocks of short launches, and the choice between them and those of long
// ones, which have whole pieces of segments (item_attention_pieces_sm90.cu). A thread block has 128
// queries of one head and segment, 64 for each of its two warpgroups, which keep them in registers.
// One thread loads keys and values into a ring of stages. Two blocks share a multiprocessor, so
// that some warpgroups multiply while others turn scores into weights. Values behind the segment
// become zeros in shared memory; keys behind it are masked.
#include "cuda/kernels/item_attention_boxes.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kQueries = 2 * kGroupQueries;
constexpr int kStages = 4;
constexpr int kLag = 2;  // boxes after which a stage is filled again
constexpr int kBytes = kStages * kStageBytes + kSwizzleBytes;

// --- helpers ------------------------------------------------------------------------------------

struct Site {
  const ItemAttentionArgs& args;
  QueryTile tile;
  std::byte* memory;
  Barrier* full;   // [stages] keys and values have come
  Barrier* empty;  // [stages] all warps have used them
  int head, kv_head, boxes;

  __device__ std::byte* keys(int stage) const { return memory + stage * kStageBytes; }
  __device__ std::byte* values(int stage) const { return keys(stage) + kBoxBytes; }

  __device__ void load(int stage, int box) const {
    load_keys(args, tile.begin, kv_head, box, keys(stage), full[stage]);
  }
};

// A warpgroup's queries: of its warp's 16, a lane has values of lane / 4 and that + 8.
struct Queries {
  std::uint32_t words[kSteps][4];

  __device__ __forceinline__ explicit Queries(const Site& site) {
    const auto lane = static_cast<int>(threadIdx.x) % kWarp;
    const std::int64_t width = std::int64_t{site.args.heads + 2 * site.args.kv_heads} * kItemHead;
    const auto* rows = static_cast<const std::uint16_t*>(site.args.prepared) +
                       site.tile.first * width + site.head * kItemHead;
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int query = static_cast<int>(threadIdx.x) / kWarp * 16 + lane / 4 + i % 2 * 8;
        const int dim = s * 16 + i / 2 * 8 + lane % 4 * 2;
        words[s][i] = query < site.tile.rows
                          ? *reinterpret_cast<const std::uint32_t*>(rows + query * width + dim)
                          : 0;
      }
    }
  }
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
template <Element kElement>
__device__ __forceinline__ void score(const Queries& queries, std::uint32_t keys,
                                      float (&scores)[32]) {
  const std::uint64_t operand = operand_at(keys);
  begin_products();
#pragma unroll
  for (int s = 0; s < kSteps; ++s) {
    WgmmaOfRegisters<kElement, false>::multiply(scores, queries.words[s], operand + 2 * s,
                                                s > 0 ? 1 : 0);
  }
  commit_products();
}

// Gives back the stage of a box; the thread that loads fills it again once all warps have.
__device__ __forceinline__ void refill(const Site& site, int box) {
  const int stage = box % kStages;
  if (threadIdx.x == 0 && box + kStages < site.boxes) {
    await(site.empty[stage], box / kStages % 2);
    site.load(stage, box + kStages);
  }
  __syncwarp();
}

// Goes through all keys. While weights of a box are mixed, the next box is scored.
template <Element kElement>
__device__ __forceinline__ void attend(const Site& site, const Queries& queries, float scale,
                                       RunningSoftmax& softmax, float (&mixed)[32]) {
  float scores[32];
  std::uint32_t weights[kKeys / 16][4];
  for (int box = 0; box < site.boxes; ++box) {
    const int stage = box % kStages;
    const int count = site.tile.length - box * kKeys;
    await(site.full[stage], box / kStages % 2);
    if (count < kKeys) {
      clear_values(site.values(stage), count);
      sync_group_of_two();
    }
    score<kElement>(queries, shared_address(site.keys(stage)), scores);
    await_products<0>();  // of this box's scores, and of what was mixed before
    if (box > 0 && threadIdx.x % kWarp == 0) arrive(site.empty[(box - 1) % kStages]);
    if (box >= kLag) refill(site, box - kLag);
    softmax.weigh(scores, mixed, scale, count);
    mix<kElement>(scores, shared_address(site.values(stage)), weights, mixed);
  }
  await_products<0>();
}
#endif

// --- kernels ------------------------------------------------------------------------------------

// Grid: pieces of segments, heads, parts of a piece.
template <Element kElement>
__global__ void __launch_bounds__(kThreads, 2)
    item_attention_of_boxes_kernel(const __grid_constant__ ItemAttentionArgs args, float scale) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ std::byte attention_memory[];
  __shared__ Barrier full[kStages];
  __shared__ Barrier empty[kStages];
  let_next_kernel_start();
  const auto piece = static_cast<std::int32_t>(blockIdx.x);
  if (piece >= count_of(args.rows, Count::tiles)) return wait_for_previous_kernel();
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < kStages; ++stage) {
      init_barrier(full[stage], 1);
      init_barrier(empty[stage], kWarps);
    }
    publish_barriers();
  }
  __syncthreads();
  wait_for_previous_kernel();
  const QueryTile tile =
      QueryTile::of(args.rows, piece).part(static_cast<std::int32_t>(blockIdx.z), kQueries);
  if (tile.rows <= 0) return;
  const auto head = static_cast<int>(blockIdx.y);
  Site site = {args,  tile, first_box(attention_memory),         full,
               empty, head, head / (args.heads / args.kv_heads), 0};
  site.boxes = ceil_div(site.tile.length, kKeys);
  if (threadIdx.x == 0) {
    for (int box = 0; box < kStages && box < site.boxes; ++box) site.load(box, box);
  }
  __syncwarp();
  const Queries queries(site);
  RunningSoftmax softmax;
  float mixed[32] = {};
  attend<kElement>(site, queries, scale, softmax, mixed);
  store_mixed(args, site.tile, head, softmax, mixed);
#endif
}

// --- launchers ----------------------------------------------------------------------------------

template <Element kElement>
void launch(const ItemAttentionArgs& args, cudaStream_t stream) {
  auto* kernel = &item_attention_of_boxes_kernel<kElement>;
  const auto* function = reinterpret_cast<const void*>(kernel);
  take_shared_memory(function, kBytes, "shared memory of attention");
  const dim3 grid(static_cast<unsigned>(args.max_tiles), static_cast<unsigned>(args.heads),
                  static_cast<unsigned>(ceil_div(kItemTile, kQueries)));
  launch_early(kernel, grid, kThreads, kBytes, stream, args, args.scale / kLogOfTwo);
  check_launch("item_attention_of_boxes");
}

// Whether blocks with whole pieces would have work for three quarters of the device or more.
bool is_long(const ItemAttentionArgs& args) {
  const int blocks = ceil_div(args.max_rows, kItemTile) * args.heads;
  return blocks * 4 >= device_attribute(cudaDevAttrMultiProcessorCount) * 3;
}

}  // namespace

void item_attention_of_boxes(const ItemAttentionArgs& args, cudaStream_t stream) {
  if (is_long(args)) return item_attention_of_pieces(args, stream);
  if (args.element == Element::bfloat16) return launch<Element::bfloat16>(args, stream);
  launch<Element::float16>(args, stream);
}

}  // namespace ttsrt::cuda
