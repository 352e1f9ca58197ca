// SelfAttention over the rows of the segment, of which nothing is cached.
#include "cuda/kernels/segment_attention.cuh"

namespace ttsrt::cuda {
namespace {

struct SegmentSpans {
  RowsView rows;

  __device__ std::int32_t num_rows() const { return count_of(rows, Count::rows); }
  __device__ Span of(std::int32_t row) const {
    return {rows.segment_begin[row], rows.segment_end[row]};
  }
  __device__ std::int32_t position(std::int32_t row) const { return rows.position[row]; }
};

}  // namespace

void segment_attention(const SelfAttentionArgs& args, cudaStream_t stream) {
  SpanArgs<SegmentSpans> spans;
  spans.spans.rows = args.rows;
  spans.qkv = args.qkv;
  spans.out = args.out;
  spans.heads = args.heads;
  spans.kv_heads = args.kv_heads;
  spans.head_dim = args.head_dim;
  spans.scale = args.scale;
  spans.is_causal = args.is_causal;
  spans.rope = args.rope;
  spans.rope_width = args.rope_width;
  attend_spans(spans, args.max_rows, stream);
}

}  // namespace ttsrt::cuda
