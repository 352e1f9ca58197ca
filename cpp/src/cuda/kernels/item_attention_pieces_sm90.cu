// Attention of long launches of whole items on Hopper: heads of 64 dimensions, by products of
// warpgroups.
//
// A thread block has a piece of a segment and one head: up to 320 queries, 64 for each of its five
// warpgroups, which share keys and values. Queries stay in shared memory. Keys and values come in a
// ring of stages, which the last warp that has used a stage fills again. A warpgroup overlaps none
// of its own steps: while it turns scores into weights, others multiply. Values behind the segment
// become zeros in shared memory; keys behind it are masked.
#include "cuda/kernels/item_attention_boxes.cuh"
#include "cuda/kernels/wgmma.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kGroups = kItemTile / kGroupQueries;
constexpr int kThreads = kGroups * kGroupThreads;
constexpr int kGroupWarps = kGroupThreads / kWarp;
constexpr int kStages = 4;
constexpr int kBytes = kStages * kStageBytes + kGroups * kBoxBytes + kSwizzleBytes;
static_assert(kGroupQueries == kHeadBoxRows && kItemTile % kGroupQueries == 0);

// --- helpers ------------------------------------------------------------------------------------

struct Site {
  const ItemAttentionArgs& args;
  QueryTile tile;
  std::byte* memory;    // stages, then queries
  Barrier* asked;       // queries have come
  Barrier* full;        // [stages] keys and values have come
  std::uint32_t* done;  // [stages] warps that have used them
  int head, kv_head, boxes, groups;

  __device__ std::byte* keys(int stage) const { return memory + stage * kStageBytes; }
  __device__ std::byte* values(int stage) const { return keys(stage) + kBoxBytes; }
  __device__ std::byte* queries(int group) const { return keys(kStages) + group * kBoxBytes; }

  __device__ void load(int stage, int box) const {
    load_keys(args, tile.begin, kv_head, box, keys(stage), full[stage]);
  }
};

// All queries, and the first keys and values.
__device__ __forceinline__ void load_first(const Site& site) {
  arrive_and_expect(*site.asked, site.groups * kBoxBytes);
  for (int group = 0; group < site.groups; ++group) {
    load_box(site.queries(group), site.args.boxes, site.head * kItemHead,
             site.tile.first + group * kGroupQueries, *site.asked);
  }
  for (int box = 0; box < kStages && box < site.boxes; ++box) site.load(box, box);
}

__device__ __forceinline__ void sync_group() {
  const int number = static_cast<int>(threadIdx.x) / kGroupThreads + 1;
  asm volatile("bar.sync %0, %1;" ::"r"(number), "n"(kGroupThreads) : "memory");
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
template <Element kElement>
__device__ __forceinline__ void score(std::uint64_t queries, std::uint32_t keys,
                                      float (&scores)[32]) {
  const std::uint64_t operand = operand_at(keys);
  begin_products();
#pragma unroll
  for (int s = 0; s < kSteps; ++s)
    Wgmma<kElement, kKeys>::multiply(scores, queries + 2 * s, operand + 2 * s, s > 0 ? 1 : 0);
  commit_products();
}

// Says that a warp has used a stage; the last one fills it again.
__device__ __forceinline__ void release(const Site& site, int stage, int box) {
  if (threadIdx.x % kWarp == 0) {
    std::uint32_t before = 0;
    asm volatile("atom.acq_rel.cta.shared::cta.add.u32 %0, [%1], 1;"
                 : "=r"(before)
                 : "r"(shared_address(site.done + stage))
                 : "memory");
    const bool is_last = static_cast<int>(before) + 1 == site.groups * kGroupWarps;
    if (is_last && box + kStages < site.boxes) {
      site.done[stage] = 0;
      site.load(stage, box + kStages);
    }
  }
  __syncwarp();
}

// Goes through all keys.
template <Element kElement>
__device__ __forceinline__ void attend(const Site& site, std::uint64_t queries, float scale,
                                       RunningSoftmax& softmax, float (&mixed)[32]) {
  Ring<kStages> ring;
  for (int box = 0; box < site.boxes; ++box, ring.advance()) {
    const int count = site.tile.length - box * kKeys;
    await(site.full[ring.stage], ring.parity);
    if (count < kKeys) {
      clear_values(site.values(ring.stage), count);
      sync_group();
    }
    float scores[32];
    score<kElement>(queries, shared_address(site.keys(ring.stage)), scores);
    await_products<0>();
    softmax.weigh(scores, mixed, scale, count);
    std::uint32_t weights[kKeys / 16][4];
    mix<kElement>(scores, shared_address(site.values(ring.stage)), weights, mixed);
    await_products<0>();
    release(site, ring.stage, box);
  }
}
#endif

// --- kernels ------------------------------------------------------------------------------------

// Grid: pieces of segments, heads.
template <Element kElement>
__global__ void __launch_bounds__(kThreads, 1)
    item_attention_of_pieces_kernel(const __grid_constant__ ItemAttentionArgs args, float scale) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ std::byte attention_memory[];
  __shared__ Barrier asked;
  __shared__ Barrier full[kStages];
  __shared__ std::uint32_t done[kStages];
  let_next_kernel_start();
  const auto piece = static_cast<std::int32_t>(blockIdx.x);
  if (piece >= count_of(args.rows, Count::tiles)) return wait_for_previous_kernel();
  const auto head = static_cast<int>(blockIdx.y);
  Site site = {args,
               QueryTile::of(args.rows, piece),
               first_box(attention_memory),
               &asked,
               full,
               done,
               head,
               head / (args.heads / args.kv_heads),
               0,
               0};
  site.boxes = ceil_div(site.tile.length, kKeys);
  site.groups = ceil_div(site.tile.rows, kGroupQueries);
  if (threadIdx.x == 0) {
    init_barrier(asked, 1);
    for (int stage = 0; stage < kStages; ++stage) {
      init_barrier(full[stage], 1);
      done[stage] = 0;
    }
    publish_barriers();
  }
  __syncthreads();
  wait_for_previous_kernel();
  if (threadIdx.x == 0) load_first(site);
  __syncwarp();
  const int group = static_cast<int>(threadIdx.x) / kGroupThreads;
  if (group >= site.groups) return;
  const std::uint64_t queries = operand_at(shared_address(site.queries(group)));
  await(asked, 0);
  RunningSoftmax softmax;
  float mixed[32] = {};
  attend<kElement>(site, queries, scale, softmax, mixed);
  store_mixed(args, site.tile, head, softmax, mixed);
#endif
}

// --- launchers ----------------------------------------------------------------------------------

template <Element kElement>
void launch(const ItemAttentionArgs& args, cudaStream_t stream) {
  auto* kernel = &item_attention_of_pieces_kernel<kElement>;
  const auto* function = reinterpret_cast<const void*>(kernel);
  take_shared_memory(function, kBytes, "shared memory of attention");
  const dim3 grid(static_cast<unsigned>(args.max_tiles), static_cast<unsigned>(args.heads));
  launch_early(kernel, grid, kThreads, kBytes, stream, args, args.scale / kLogOfTwo);
  check_launch("item_attention_of_pieces");
}

}  // namespace

void item_attention_of_pieces(const ItemAttentionArgs& args, cudaStream_t stream) {
  if (args.element == Element::bfloat16) return launch<Element::bfloat16>(args, stream);
  launch<Element::float16>(args, stream);
}

}  // namespace ttsrt::cuda
