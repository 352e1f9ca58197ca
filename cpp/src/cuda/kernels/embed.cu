// EmbedRows and StoreContext.
//
// Decided: one thread makes one number of one row, and adds codes in the order of their tables and
// divides at the end, as the plain form does; dense results are therefore equal to it bit by bit.
#include <cmath>

#include "cuda/check.h"
#include "cuda/device.cuh"
#include "cuda/launch.h"

namespace ttsrt::cuda {
namespace {

constexpr int kThreads = 256;

// --- helpers ------------------------------------------------------------------------------------

// Returns one number of the mean over the tables of a stack of codes.
__device__ float embed_codes(const EmbedArgs& args, const std::int32_t* codes, std::int64_t d) {
  if (codes[0] == kZeroRow) return 0.0F;
  float sum = 0.0F;
#pragma unroll 8
  for (std::int32_t table = 0; table < args.codebooks; ++table) {
    const std::int64_t row = row_of_code(table, args.vocab, codes[table]);
    sum += code_value_at(args.code_tables, row, d);
  }
  return sum / static_cast<float>(args.codebooks);
}

// Returns one number of a row, without positions.
__device__ float embed(const EmbedArgs& args, std::int32_t row, std::int64_t d) {
  const RowsView& rows = args.rows;
  const SlotsView& slots = args.slots;
  const std::int32_t slot = rows.slot[row];
  const std::int32_t at = rows.source_at[row];
  switch (static_cast<Source>(rows.source[row])) {
    case Source::codes:
      return embed_codes(args, rows.ids + at, d);
    case Source::ids:
      return value_at(args.id_tables[rows.id_table[row]], rows.ids[at], d);
    case Source::vectors:
      return rows.vectors[at * args.dim + d];
    case Source::unchecked_vectors: {
      const float value = rows.vectors[at * args.dim + d];
      if (!isfinite(value)) add_fault(args.faults, row, args.faults.not_finite);
      return value;
    }
    case Source::last_codes:
      if (slot < 0) return 0.0F;
      return embed_codes(args, slots.last_codes + std::int64_t{slot} * slots.codebooks, d);
    case Source::block_codes:
      if (slot < 0) return 0.0F;
      return embed_codes(args, slots.last_codes + std::int64_t{slot} * slots.codebooks + at, d);
    case Source::kept_rows:
      if (slot < 0) return 0.0F;
      return slots.context_rows[(std::int64_t{slot} * slots.max_context_rows + at) * slots.dim + d];
    default:
      return 0.0F;
  }
}

// --- kernels ------------------------------------------------------------------------------------

__global__ void __launch_bounds__(kThreads)
    embed_rows_kernel(const __grid_constant__ EmbedArgs args) {
  wait_for_previous_kernel();
  const auto row = static_cast<std::int32_t>(blockIdx.x);
  const std::int64_t d = std::int64_t{blockIdx.y} * kThreads + threadIdx.x;
  if (row >= count_of(args.rows, Count::rows) || d >= args.dim) return;
  float value = embed(args, row, d);
  const std::int32_t table = args.rows.position_table[row];
  if (args.adds_positions && table >= 0)
    value += value_at(args.position_tables[table], args.rows.position_row[row], d);
  args.out[row * args.dim + d] = value;
}

__global__ void __launch_bounds__(kThreads)
    store_context_kernel(const __grid_constant__ StoreContextArgs args) {
  wait_for_previous_kernel();
  const auto row = static_cast<std::int32_t>(blockIdx.x);
  const std::int64_t d = std::int64_t{blockIdx.y} * kThreads + threadIdx.x;
  if (row >= count_of(args.rows, Count::rows) || d >= args.width) return;
  const std::int32_t slot = args.rows.slot[row];
  if (slot < 0) return;
  const std::int64_t to =
      std::int64_t{slot} * args.slots.max_context_rows + args.rows.kept_row[row];
  const float value = args.x[row * args.width + d];
  args.slots.context_rows[to * args.slots.dim + d] = value;
  if (!isfinite(value)) add_fault(args.faults, row, args.faults.not_finite);
}

// --- launchers ----------------------------------------------------------------------------------

dim3 grid_of(std::int32_t max_rows, std::int64_t width) {
  return dim3(static_cast<unsigned>(max_rows),
              static_cast<unsigned>((width + kThreads - 1) / kThreads));
}

}  // namespace

void embed_rows(const EmbedArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  launch_early(embed_rows_kernel, grid_of(args.max_rows, args.dim), kThreads, 0, stream, args);
  check_launch("embed_rows");
}

void store_context(const StoreContextArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  launch_early(store_context_kernel, grid_of(args.max_rows, args.width), kThreads, 0, stream, args);
  check_launch("store_context");
}

}  // namespace ttsrt::cuda
