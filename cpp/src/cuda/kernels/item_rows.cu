// Rows of whole items between activations and the slots: LoadRows, SaveRows, StoreSchedule,
// FlowStep, and the rows of a text, ClearFiller and StretchText. One thread has one number of one
// row.
#include <cmath>

#include "cuda/check.h"
#include "cuda/device.cuh"
#include "cuda/launch_whole.h"
#include "rules/stretch.h"

namespace ttsrt::cuda {
namespace {

constexpr int kThreads = 128;

// --- helpers ------------------------------------------------------------------------------------

// The number of a thread: column `d` of `row`.
struct Place {
  std::int32_t row = static_cast<std::int32_t>(blockIdx.y);
  std::int64_t d = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;

  __device__ bool is_inside(const RowsView& rows, std::int64_t width) const {
    return row < count_of(rows, Count::rows) && d < width;
  }
};

// The row of an array that stands for a row of the launch, in a branch; null: there is none. Each
// row of the array stands for `repeat` positions.
__device__ float* array_row(const RowArrayView& array, const RowsView& rows, std::int32_t row,
                            std::int32_t branch, std::int32_t repeat = 1) {
  const std::int32_t slot = rows.slot[row];
  if (slot < 0 || (branch != 0 && !array.has_branches)) return nullptr;
  const std::int64_t branches = array.has_branches ? 2 : 1;
  const std::int64_t at = (slot * branches + branch) * array.rows + rows.position[row] / repeat;
  return array.data + at * array.width;
}

// Where a row of the launch becomes one of a schedule.
__device__ std::int64_t schedule_row(const StoreScheduleArgs& args, std::int32_t row) {
  const std::int32_t position = args.rows.position[row];
  if (args.slot_rows > 0) return std::int64_t{args.rows.slot[row]} * args.slot_rows + position;
  const std::int32_t* table = args.rows.blocks + args.rows.table_at[row];
  return std::int64_t{table[position / kCacheBlock]} * kCacheBlock + position % kCacheBlock;
}

// --- kernels ------------------------------------------------------------------------------------

__global__ void __launch_bounds__(kThreads)
    load_item_rows_kernel(const __grid_constant__ ItemRowsArgs args) {
  wait_for_previous_kernel();
  const Place at;
  if (!at.is_inside(args.rows, args.array.width)) return;
  const float* from =
      array_row(args.array, args.rows, at.row, args.rows.branch[at.row], args.repeat);
  args.x[at.row * args.stride + at.d] = from == nullptr ? 0.0F : from[at.d];
}

__global__ void __launch_bounds__(kThreads)
    save_item_rows_kernel(const __grid_constant__ ItemRowsArgs args) {
  wait_for_previous_kernel();
  const Place at;
  if (!at.is_inside(args.rows, args.array.width)) return;
  float* to = array_row(args.array, args.rows, at.row, args.rows.branch[at.row]);
  if (to == nullptr) return;
  const float value = args.x[at.row * args.stride + args.first + at.d];
  to[at.d] = value;
  if (!isfinite(value)) add_fault(args.faults, at.row, args.faults.not_finite);
}

__global__ void __launch_bounds__(kThreads)
    store_schedule_kernel(const __grid_constant__ StoreScheduleArgs args) {
  wait_for_previous_kernel();
  const Place at;
  const std::int64_t width = args.slots.schedule_width;
  if (!at.is_inside(args.rows, width) || args.rows.slot[at.row] < 0) return;
  const std::int64_t row = schedule_row(args, at.row);
  const float value = args.x[at.row * width + at.d];
  args.slots.schedule[row * width + at.d] = value;
  if (!isfinite(value)) add_fault(args.faults, at.row, args.faults.not_finite);
}

__global__ void __launch_bounds__(kThreads)
    clear_filler_kernel(const __grid_constant__ TextRowsArgs args) {
  wait_for_previous_kernel();
  const Place at;
  if (!at.is_inside(args.rows, args.width)) return;
  const std::int32_t slot = args.rows.slot[at.row];
  if (slot < 0 || args.rows.position[at.row] < args.slots.rules[slot].text_len) return;
  args.x[at.row * args.width + at.d] = 0.0F;
}

__global__ void __launch_bounds__(kThreads)
    stretch_text_kernel(const __grid_constant__ TextRowsArgs args) {
  wait_for_previous_kernel();
  const Place at;
  if (!at.is_inside(args.rows, args.width)) return;
  const std::int32_t slot = args.rows.slot[at.row];
  const std::int32_t text_len = slot < 0 ? 1 : args.slots.rules[slot].text_len;
  const std::int32_t begin = args.rows.segment_begin[at.row];
  const std::int64_t from =
      begin +
      rules::stretched_from(at.row - begin, args.rows.segment_end[at.row] - begin, text_len);
  args.out[at.row * args.width + at.d] = args.x[from * args.width + at.d];
}

// All roundings are explicit: v = c + (c - u) * strength, y = base + v * step.
__global__ void __launch_bounds__(kThreads)
    flow_step_kernel(const __grid_constant__ FlowStepArgs args) {
  wait_for_previous_kernel();
  const Place at;
  const RowsView& rows = args.rows;
  const std::int64_t width = args.width;
  if (!at.is_inside(rows, width)) return;
  const std::int32_t slot = rows.slot[at.row];
  if (slot < 0 || rows.branch[at.row] != 0) return;
  const std::int64_t kept =
      std::int64_t{slot} * args.slots.max_context_rows + rows.kept_row[at.row];
  float* state = args.slots.context_rows + kept * args.slots.dim + at.d;
  const bool may_be_fixed = args.mask.data != nullptr && rows.is_last[at.row] != 0;
  if (may_be_fixed && *array_row(args.mask, rows, at.row, 0) != 0.0F) {
    *state = array_row(args.fixed, rows, at.row, 0)[at.d];
    return;
  }
  const std::int32_t partner = rows.partner[at.row];
  const float c = args.velocity[at.row * width + at.d];
  float v = c;
  if (partner >= 0) {
    const float u = args.velocity[partner * width + at.d];
    v = __fmaf_rn(__fsub_rn(c, u), args.slots.rules[slot].flow_scale, c);
  }
  float* base = array_row(args.base, rows, at.row, 0) + at.d;
  const float y = __fmaf_rn(v, __int_as_float(rows.step_size[at.row]), *base);
  if (rows.ends_step[at.row] != 0) *base = y;
  if (!isfinite(y)) add_fault(args.faults, at.row, args.faults.not_finite);
  *state = y;
}

// --- launchers ----------------------------------------------------------------------------------

template <typename Args>
void launch_rows(void (*kernel)(Args), const Args& args, std::int64_t width, const char* name,
                 cudaStream_t stream) {
  if (args.max_rows <= 0 || width <= 0) return;
  const dim3 grid(static_cast<unsigned>(ceil_div<std::int64_t>(width, kThreads)),
                  static_cast<unsigned>(args.max_rows));
  launch_early(kernel, grid, kThreads, 0, stream, args);
  check_launch(name);
}

}  // namespace

void load_item_rows(const ItemRowsArgs& args, cudaStream_t stream) {
  launch_rows(load_item_rows_kernel, args, args.array.width, "load_item_rows", stream);
}

void save_item_rows(const ItemRowsArgs& args, cudaStream_t stream) {
  launch_rows(save_item_rows_kernel, args, args.array.width, "save_item_rows", stream);
}

void store_schedule(const StoreScheduleArgs& args, cudaStream_t stream) {
  launch_rows(store_schedule_kernel, args, args.slots.schedule_width, "store_schedule", stream);
}

void clear_filler(const TextRowsArgs& args, cudaStream_t stream) {
  launch_rows(clear_filler_kernel, args, args.width, "clear_filler", stream);
}

void stretch_text(const TextRowsArgs& args, cudaStream_t stream) {
  launch_rows(stretch_text_kernel, args, args.width, "stretch_text", stream);
}

void flow_step(const FlowStepArgs& args, cudaStream_t stream) {
  launch_rows(flow_step_kernel, args, args.width, "flow_step", stream);
}

}  // namespace ttsrt::cuda
