// Changes of the state between launches (resets of slots, copies of cache blocks), and the first
// kernel of a launch, which clears faults and the outcome.
#include "cuda/check.h"
#include "cuda/device.cuh"
#include "cuda/launch.h"
#include "rules/seen.h"

namespace ttsrt::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kCopyBlocks = 4;  // thread blocks that share one cache block of one layer

// --- helpers ------------------------------------------------------------------------------------

template <typename T>
__device__ void fill(T* values, std::int64_t count, T value) {
  for (std::int64_t i = threadIdx.x; i < count; i += blockDim.x) values[i] = value;
}

// Copies with all threads of the block.
__device__ void copy_rules(const rules::SlotRules& from, rules::SlotRules* to) {
  static_assert(sizeof(rules::SlotRules) % sizeof(std::uint64_t) == 0);
  const auto* source = reinterpret_cast<const std::uint64_t*>(&from);
  auto* target = reinterpret_cast<std::uint64_t*>(to);
  for (std::size_t i = threadIdx.x; i < sizeof(rules::SlotRules) / sizeof(std::uint64_t);
       i += blockDim.x) {
    target[i] = source[i];
  }
}

__device__ void start_seen_sets(const rules::SamplerRules& sampler, std::int64_t slot,
                                const SlotsView& slots) {
  if (slots.seen == nullptr || !rules::counts_seen(sampler)) return;
  const std::int64_t words = rules::seen_words(slots.seen_vocab);
  for (std::int64_t place = threadIdx.x; place < slots.codebooks; place += blockDim.x) {
    rules::start_seen(sampler, slots.seen + (slot * slots.codebooks + place) * words,
                      slots.seen_vocab);
  }
}

// --- kernels ------------------------------------------------------------------------------------

// One block per entry; of several entries of one slot, the last counts.
__global__ void __launch_bounds__(kThreads)
    reset_slots_kernel(const SlotResetEntry* entries, std::int32_t count, const SlotsView slots,
                       const HistoryView* histories, std::int32_t num_histories) {
  wait_for_previous_kernel();
  const SlotResetEntry& entry = entries[blockIdx.x];
  const std::int64_t slot = entry.slot;
  for (auto later = static_cast<std::int32_t>(blockIdx.x) + 1; later < count; ++later) {
    if (entries[later].slot == entry.slot) return;
  }
  copy_rules(entry.rules, slots.rules + slot);
  if (threadIdx.x == 0) {
    slots.states[slot] = rules::start_state(entry.rules);
    if (slots.tokens.heads != nullptr) slots.tokens.heads[slot] = entry.tokens;
  }
  fill(slots.counts + slot * slots.max_text_len, slots.max_text_len, 0);
  fill(slots.last_codes + slot * slots.codebooks, slots.codebooks,
       entry.rules.block.steps > 0 ? entry.rules.block.mask_id : 0);
  start_seen_sets(entry.rules.sampler, slot, slots);
  for (std::int32_t h = 0; h < num_histories; ++h) {
    const HistoryView& history = histories[h];
    const std::int64_t size = std::int64_t{2} * (history.kernel - 1) * history.width;
    fill(history.data + slot * size, size, 0.0F);
  }
}

// Grid: pairs, layers, parts of a block.
__global__ void __launch_bounds__(kThreads)
    copy_blocks_kernel(const std::int32_t* pairs, std::byte* first_layer, std::int64_t block_bytes,
                       std::int64_t layer_bytes) {
  wait_for_previous_kernel();
  std::byte* layer = first_layer + blockIdx.y * layer_bytes;
  const auto* from = reinterpret_cast<const uint4*>(layer + pairs[2 * blockIdx.x] * block_bytes);
  auto* to = reinterpret_cast<uint4*>(layer + pairs[2 * blockIdx.x + 1] * block_bytes);
  const auto count = block_bytes / static_cast<std::int64_t>(sizeof(uint4));
  for (std::int64_t i = std::int64_t{blockIdx.z} * kThreads + threadIdx.x; i < count;
       i += std::int64_t{gridDim.z} * kThreads) {
    to[i] = from[i];
  }
}

// A block has a draw and the fault words of kThreads rows, where there are such. A result without a
// slot has not been finished.
__global__ void __launch_bounds__(kThreads)
    begin_launch_kernel(const __grid_constant__ BeginArgs args) {
  wait_for_previous_kernel();
  const auto row = static_cast<std::int32_t>(blockIdx.x * kThreads + threadIdx.x);
  if (row == 0)
    args.times[args.counts[static_cast<std::int32_t>(Count::stage)]]->begin = nanoseconds();
  if (!args.starts) return;
  if (row < args.max_rows) args.faults[row] = kNoFault;
  const std::int64_t draw = blockIdx.x;
  if (draw >= args.max_draws) return;
  const OutcomeView& outcome = args.outcome;
  const std::int64_t width = args.max_text_len;
  fill(outcome.sampled + draw * args.codebooks, args.codebooks, -1);
  fill(outcome.likeliest + draw * args.codebooks, args.codebooks, -1);
  if (threadIdx.x == 0) outcome.results[draw].slot = -1;
  if (outcome.scores != nullptr) fill(outcome.scores + draw * width, width, 0.0F);
  if (args.scores != nullptr) fill(args.scores + draw * width, width, 0.0F);
}

}  // namespace

// --- launchers ----------------------------------------------------------------------------------

bool has_kernels() {
  cudaFuncAttributes attributes = {};
  const cudaError_t error = cudaFuncGetAttributes(&attributes, begin_launch_kernel);
  if (error != cudaSuccess) static_cast<void>(cudaGetLastError());
  return error == cudaSuccess;
}

void reset_slots(const SlotResetEntry* entries, std::int32_t count, const SlotsView& slots,
                 const HistoryView* histories, std::int32_t num_histories, cudaStream_t stream) {
  if (count <= 0) return;
  reset_slots_kernel<<<static_cast<unsigned>(count), kThreads, 0, stream>>>(
      entries, count, slots, histories, num_histories);
  check_launch("reset_slots");
}

void copy_blocks(const std::int32_t* pairs, std::int32_t count, const CacheView& first_layer,
                 std::int64_t layer_bytes, std::int32_t layers, cudaStream_t stream) {
  if (count <= 0 || layers <= 0) return;
  const dim3 grid(static_cast<unsigned>(count), static_cast<unsigned>(layers), kCopyBlocks);
  copy_blocks_kernel<<<grid, kThreads, 0, stream>>>(pairs, first_layer.data,
                                                    first_layer.block_bytes, layer_bytes);
  check_launch("copy_blocks");
}

void begin_launch(const BeginArgs& args, cudaStream_t stream) {
  const int row_blocks = ceil_div(args.max_rows, kThreads);
  const int all_blocks = row_blocks < args.max_draws ? args.max_draws : row_blocks;
  const int blocks = args.starts ? all_blocks : 1;
  launch_early(begin_launch_kernel, static_cast<unsigned>(blocks), kThreads, 0, stream, args);
  check_launch("begin_launch");
}

}  // namespace ttsrt::cuda
