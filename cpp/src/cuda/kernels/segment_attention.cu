// SelfAttention over the rows of the segment, of which nothing is cached.
#include "cuda/kernels/segment_attention.cuh"

namespace ttsrt::cuda {

void segment_attention(const SelfAttentionArgs& args, cudaStream_t stream) {
  SpanArgs<SegmentSpans> spans;
  spans.spans.rows = args.rows;
  spans.qkv = args.qkv;
  spans.out = args.out;
  spans.set_heads(args);
  spans.rope = args.rope;
  spans.rope_width = args.rope_width;
  attend_spans(spans, args.max_rows, stream);
}

}  // namespace ttsrt::cuda
