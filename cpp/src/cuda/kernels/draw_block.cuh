// What the kernels that draw share: the memory of a block, the slot that it draws for, and where
// faults go.
//
// A block draws one code. Its row of logits is in dynamic shared memory where it fits, and else in
// scratch memory of the launch; rules, state and seen set of the slot are in shared memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/check.h"
#include "cuda/device.cuh"
#include "cuda/kernels/draw.cuh"
#include "cuda/kernels/masked_row.cuh"
#include "cuda/kernels/thread_block.cuh"
#include "cuda/views.h"
#include "rules/philox.h"

namespace ttsrt::cuda {

// --- helpers ------------------------------------------------------------------------------------

// Static shared memory of a block. It has no constructors, so rules and state are bytes.
struct DrawShared {
  BlockRoom room;
  alignas(8) std::byte rules[sizeof(rules::SlotRules)];
  alignas(8) std::byte state[sizeof(rules::SlotState)];
  float number;
};

// With the static part, this stays below the 99 KiB that devices of all kinds give to a block.
constexpr std::size_t kMostDynamicShared = 87 * 1024;

// Bytes of a row: logits, weights and offsets, the row's end aligned for the next one.
TTSRT_RULE std::size_t draw_row_bytes(std::int32_t vocab) {
  return (static_cast<std::size_t>(vocab) * 10U + 15U) / 16U * 16U;
}

TTSRT_RULE std::size_t seen_bytes(std::int32_t vocab) {
  return static_cast<std::size_t>(rules::seen_words(vocab)) * sizeof(std::uint32_t);
}

inline bool draws_in_shared(std::int32_t vocab) {
  return draw_row_bytes(vocab) + seen_bytes(vocab) <= kMostDynamicShared;
}

constexpr std::int32_t kMostDrawThreads = 1024;

// More threads only help rows that give each some ids; results don't depend on their number.
inline std::int32_t draw_threads(std::int32_t vocab) {
  return vocab <= 1024 ? 128 : vocab <= 4096 ? 256 : 1024;
}

__device__ inline void copy_words(std::byte* to, const void* from, std::int32_t bytes) {
  auto* to_words = reinterpret_cast<std::uint32_t*>(to);
  const auto* words = static_cast<const std::uint32_t*>(from);
  const std::int32_t stride = static_cast<std::int32_t>(blockDim.x);
  for (std::int32_t i = static_cast<std::int32_t>(threadIdx.x); i < bytes / 4; i += stride)
    to_words[i] = words[i];
}

__device__ inline void add_fault_of(const FaultsView& faults, std::int32_t row,
                                    rules::DrawFault fault) {
  if (fault == rules::DrawFault::not_finite) add_fault(faults, row, faults.not_finite);
  if (fault == rules::DrawFault::no_choice) add_fault(faults, row, faults.no_choice);
}

// How many drafts draw `d` is behind, and whether it is a guess.
__device__ inline std::int32_t ahead_of(const RowsView& rows, std::int32_t d) {
  return rows.draw_ahead == nullptr ? 0 : rows.draw_ahead[d];
}
__device__ inline bool is_guess(const RowsView& rows, std::int32_t d) {
  return rows.draw_guess != nullptr && rows.draw_guess[d] != 0;
}

// The code of place `place` of draw `d`, of which `drawn` was drawn.
__device__ inline std::int32_t code_of(const RowsView& rows, std::int32_t d, std::int32_t place,
                                       std::int32_t drawn) {
  const std::int32_t forced = rows.draw_forced[d];
  return forced < 0 ? drawn : rows.ids[forced + place];
}

// The slot of a draw, in shared memory, as a block of threads sees it.
struct DrawSlot {
  const rules::SlotRules& rules;
  const rules::SlotState& state;

  // Copies both; all threads call it.
  __device__ DrawSlot(DrawShared& shared, const SlotsView& slots, std::int32_t slot)
      : DrawSlot(shared) {
    copy_rules(shared, slots, slot);
    copy_words(shared.state, slots.states + slot, sizeof(rules::SlotState));
    __syncthreads();
  }
  // For kernels that copy both themselves.
  __device__ explicit DrawSlot(DrawShared& shared)
      : rules(*reinterpret_cast<const rules::SlotRules*>(shared.rules)),
        state(*reinterpret_cast<const rules::SlotState*>(shared.state)) {
    static_assert(sizeof(rules::SlotRules) % 4 == 0 && sizeof(rules::SlotState) % 4 == 0);
  }

  // Rules are those of before the launch, so they may be copied before the kernel before has
  // finished.
  __device__ static void copy_rules(DrawShared& shared, const SlotsView& slots, std::int32_t slot) {
    copy_words(shared.rules, slots.rules + slot, sizeof(rules::SlotRules));
  }

  // Copies the state as it is behind so many drafts (rules::state_ahead).
  __device__ static void copy_state(DrawShared& shared, const SlotsView& slots, std::int32_t slot,
                                    std::int32_t ahead) {
    copy_words(shared.state, slots.states + slot, sizeof(rules::SlotState));
    static_assert(offsetof(rules::SlotState, step) == 0);  // so that thread 0 has copied it
    if (threadIdx.x == 0) reinterpret_cast<rules::SlotState*>(shared.state)->step += ahead;
  }

  // Has thread 0 write the uniform number of a place, for all to read after the next barrier.
  __device__ void write_number(DrawShared& shared, std::int32_t place, std::int32_t pass) const {
    if (threadIdx.x != 0) return;
    shared.number =
        rules::uniform(rules.sampler.seed, state.step, place, pass, rules::DrawKind::code);
  }
};

// Returns the memory of row `index` of the launch. With `kInShared`, `dynamic` is dynamic shared
// memory for the row and its seen set; else only the set is there.
template <bool kInShared>
__device__ BlockRow draw_row(std::byte* dynamic, std::byte* scratch, std::int64_t index,
                             std::int32_t vocab) {
  std::byte* at = dynamic;
  if constexpr (!kInShared) at = scratch + index * static_cast<std::int64_t>(draw_row_bytes(vocab));
  BlockRow row;
  row.logits = reinterpret_cast<float*>(at);
  row.weights = row.logits + vocab;
  row.offsets = reinterpret_cast<std::uint16_t*>(row.weights + vocab);
  row.vocab = vocab;
  return row;
}

// Copies the seen set of a place of a slot where a penalty counts it. It may be read after the next
// barrier.
template <bool kInShared>
__device__ const std::uint32_t* copy_seen(std::byte* dynamic, const SlotsView& slots,
                                          const rules::SamplerRules& sampler, std::int32_t slot,
                                          std::int32_t place, std::int32_t vocab) {
  if (!rules::counts_seen(sampler)) return nullptr;
  std::byte* to = dynamic + (kInShared ? draw_row_bytes(vocab) : 0);
  const std::int64_t set = std::int64_t{slot} * slots.codebooks + place;
  copy_words(to, slots.seen + set * rules::seen_words(slots.seen_vocab),
             static_cast<std::int32_t>(seen_bytes(vocab)));
  return reinterpret_cast<const std::uint32_t*>(to);
}

// --- launchers ----------------------------------------------------------------------------------

// Launches a kernel in the form that the vocabulary asks for, with a block per code of at least
// `least_threads`.
template <typename Args>
void launch_draws(void (*in_shared)(Args), void (*in_scratch)(Args), dim3 grid, std::int32_t vocab,
                  const Args& args, const char* name, cudaStream_t stream,
                  std::int32_t least_threads = 0) {
  const bool fits = draws_in_shared(vocab);
  const std::size_t bytes = (fits ? draw_row_bytes(vocab) : 0) + seen_bytes(vocab);
  const auto kernel = fits ? in_shared : in_scratch;
  check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                             cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(kMostDynamicShared)),
        name);
  const std::int32_t usual = draw_threads(vocab);
  const std::int32_t threads = usual < least_threads ? least_threads : usual;
  launch_early(kernel, grid, static_cast<unsigned>(threads), bytes, stream, args);
  check_launch(name);
}

}  // namespace ttsrt::cuda
