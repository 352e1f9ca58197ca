// Stores the keys and values of rows in the paged cache, for attention whose rows need those of
// other rows of the launch.
#include "cuda/kernels/attention.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kStoreWarps = 4;

// A warp stores one head's key or value of one row.
template <Element kElement>
__global__ void __launch_bounds__(kStoreWarps * 32)
    store_rows_kernel(const __grid_constant__ SelfAttentionArgs args) {
  wait_for_previous_kernel();
  const int parts = 2 * args.kv_heads;
  const auto unit = static_cast<std::int32_t>(blockIdx.x * kStoreWarps + threadIdx.x / 32);
  const std::int32_t row = unit / parts;
  if (row >= count_of(args.rows, Count::rows) || args.rows.slot[row] < 0) return;
  const int part = unit % 2;
  const int head = unit % parts / 2;
  const int position = args.rows.position[row];
  const QkvRow qkv = QkvRow::of(args, row);
  const float* x = (part == 0 ? qkv.keys : qkv.values) + std::int64_t{head} * args.head_dim;
  const Angles angles = part == 0 ? Angles::of(args.rope, args.rope_width, position) : Angles{};
  const KeptVector to = kept_at<kElement>(args.cache, block_of(args, row, position), head, part,
                                          position % kCacheBlock);
  const bool is_finite = keep_vector<kElement>(x, angles, args.head_dim, to);
  if (!is_finite && threadIdx.x % 32 == 0) add_fault(args.faults, row, args.faults.not_finite);
}

template <Element kElement>
void launch_store(const SelfAttentionArgs& args, cudaStream_t stream) {
  const std::int64_t units = std::int64_t{args.max_rows} * args.kv_heads * 2;
  const auto grid = static_cast<unsigned>((units + kStoreWarps - 1) / kStoreWarps);
  launch_early(store_rows_kernel<kElement>, grid, kStoreWarps * 32, 0, stream, args);
  check_launch("self_attention: store");
}

}  // namespace

void store_rows(const SelfAttentionArgs& args, cudaStream_t stream) {
  if (args.cache.element == Element::float32) launch_store<Element::float32>(args, stream);
  if (args.cache.element == Element::bfloat16) launch_store<Element::bfloat16>(args, stream);
  if (args.cache.element == Element::float16) launch_store<Element::float16>(args, stream);
  if (args.cache.element == Element::int8) launch_store<Element::int8>(args, stream);
}

}  // namespace ttsrt::cuda
