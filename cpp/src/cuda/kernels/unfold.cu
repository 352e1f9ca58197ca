// Concatenates the neighbours of a row, which turns a convolution into a product.
//
// Without a history, a row's neighbours end at its segment. With one, they go on to the begin of
// its chain (the segments of this launch that continue each other), and before that to the rows
// that the slot keeps from earlier launches; before a chain that begins at position 0 there are
// zeros. Rows without a slot have zeros there, too.
//
// The history is updated by a second kernel, because other blocks still read it in the first.
// There, a thread has one column of the history and shifts it from the oldest row on, so that it
// reads each old row before it overwrites it.
#include "cuda/check.h"
#include "cuda/device.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kThreads = 128;

// The kept rows of a row's slot and branch, [kernel - 1, width].
__device__ float* history_of(const UnfoldArgs& args, std::int64_t row) {
  const std::int64_t entry =
      static_cast<std::int64_t>(args.rows.slot[row]) * 2 + args.rows.branch[row];
  return args.history.data + entry * (args.kernel - 1) * args.width;
}

// Row `from` of x as a neighbour of `row`, or the kept row that it stands for, or none: zeros.
__device__ const float* neighbour(const UnfoldArgs& args, std::int64_t row, std::int64_t from) {
  if (args.history.data == nullptr) {
    const bool is_inside =
        from >= args.rows.segment_begin[row] && from < args.rows.segment_end[row];
    return is_inside ? args.x + from * args.width : nullptr;
  }
  const std::int64_t begin = args.rows.chain_begin[row];
  if (from >= begin) return args.x + from * args.width;
  if (args.rows.position[begin] == 0 || args.rows.slot[row] < 0) return nullptr;
  return history_of(args, row) + (args.kernel - 1 + from - begin) * args.width;
}

__global__ void unfold_kernel(UnfoldArgs args) {
  wait_for_previous_kernel();
  const std::int64_t row = blockIdx.x;
  if (row >= count_of(args.rows, Count::rows)) return;
  const std::int64_t before = args.is_causal ? args.kernel - 1 : (args.kernel - 1) / 2;
  const std::int64_t tap = blockIdx.y;
  const float* from = neighbour(args, row, row - before + tap);
  float* out = args.out + (row * args.kernel + tap) * args.width;
  for (std::int64_t i = threadIdx.x; i < args.width; i += kThreads)
    out[i] = from == nullptr ? 0.0F : from[i];
}

// A block has columns of the history that the chain beginning at its row leaves behind.
__global__ void keep_history_kernel(UnfoldArgs args) {
  wait_for_previous_kernel();
  const std::int64_t row = blockIdx.x;
  if (row >= count_of(args.rows, Count::rows)) return;
  if (args.rows.chain_begin[row] != row || args.rows.slot[row] < 0) return;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.y) * kThreads + threadIdx.x;
  if (column >= args.width) return;
  const std::int64_t kept = args.kernel - 1;
  const std::int64_t first = args.rows.chain_end[row] - kept;
  float* history = history_of(args, row);
  for (std::int64_t i = 0; i < kept; ++i) {
    const float* from = neighbour(args, row, first + i);
    history[i * args.width + column] = from == nullptr ? 0.0F : from[column];
  }
}

}  // namespace

void unfold(const UnfoldArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  const auto rows = static_cast<unsigned>(args.max_rows);
  launch_early(unfold_kernel, dim3(rows, static_cast<unsigned>(args.kernel)), kThreads, 0, stream,
               args);
  check_launch("unfold");
  if (args.history.data == nullptr || args.kernel == 1) return;
  const auto columns = static_cast<unsigned>(ceil_div<std::int64_t>(args.width, kThreads));
  launch_early(keep_history_kernel, dim3(rows, columns), kThreads, 0, stream, args);
  check_launch("keep_history");
}

}  // namespace ttsrt::cuda
