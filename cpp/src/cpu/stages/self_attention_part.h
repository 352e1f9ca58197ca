// What the stages of self-attention share.
#pragma once

#include "cpu/stages/attention_stages.h"
#include "cpu/stages/head_rows.h"

namespace ttsrt::cpu {

// Data of self-attention, for keys and values that stay in the cache and for those that exist only
// for this launch.
class SelfAttentionPart : public Stage {
 public:
  SelfAttentionPart(const Site& site, const ops::SelfAttention& op, const SelfAttentionRows& rows,
                    const SegmentBlocks& segments)
      : site_(site),
        op_(op),
        qkv_(rows.qkv),
        out_(rows.out),
        segments_(segments),
        kv_heads_(op.num_kv_heads()),
        group_(op.heads / op.num_kv_heads()),
        turned_(site, op) {
    layout_ = is_cached() ? site.slots->cache_layout() : segments.layout;
    kernels_ = &site.kernels->attention[static_cast<int>(layout_.element)];
  }

 protected:
  bool is_cached() const { return op_.cache_layer >= 0; }

  std::byte* base() const {
    return is_cached() ? site_.slots->cache(op_.cache_layer) : *segments_.data;
  }

  // Returns the place of a row of a segment: the number of rows of its sequence before it.
  std::int32_t place_of(const step::Segment& segment, std::int32_t row) const {
    return row - segment.first_row + (is_cached() ? segment.position : 0);
  }

  static std::int32_t position_of(const step::Segment& segment, std::int32_t row) {
    return segment.position + row - segment.first_row;
  }

  std::int64_t block_of(std::int32_t row, std::int32_t place) const {
    if (is_cached()) return site_.launch->table(row)[place / kLanes];
    const auto index =
        static_cast<std::size_t>(site_.launch->segment_of[static_cast<std::size_t>(row)]);
    return site_.launch->first_block[index] + place / kLanes;
  }

  std::int32_t kv_heads() const { return kv_heads_; }
  // Query heads that read one head of keys and values.
  std::int32_t group() const { return group_; }

  // Keeps a row's key and value of one of the kv_heads; scratch: [head_dim].
  void store(const step::Segment& segment, std::int32_t row, std::int32_t head,
             float* scratch) const {
    const std::int32_t place = place_of(segment, row);
    std::byte* keys =
        base() + block_of(row, place) * layout_.block_bytes + head * layout_.head_bytes;
    const float* key = qkv_.row(row) + std::int64_t{op_.heads + head} * op_.head_dim;
    const float* value = key + std::int64_t{kv_heads()} * op_.head_dim;
    const bool is_finite =
        kernels_->store(turned_.key(position_of(segment, row), head, key, scratch), value, keys,
                        keys + layout_.value_offset(), place % kLanes, op_.head_dim);
    if (!is_finite && is_cached()) site_.add_fault(row);
  }

  std::int32_t length_of(const step::Segment& segment, std::int32_t row) const {
    const std::int32_t last = segment.first_row + segment.rows - 1;
    return place_of(segment, op_.causal ? row : last) + 1;
  }

  std::int64_t head_floats() const { return ops::padded_to(op_.head_dim, kLanes); }

  // Of a query head of a row, without its output; turned_query: [head_dim].
  AttendArgs query_args(const step::Segment& segment, std::int32_t row, std::int32_t query,
                        float* weights, float* turned_query) const {
    AttendArgs args = attend_over(layout_, length_of(segment, row), weights);
    const std::int64_t begin = std::int64_t{query} * op_.head_dim;
    args.query =
        turned_.query(position_of(segment, row), query, qkv_.row(row) + begin, turned_query);
    if (op_.scale > 0.0F) args.scale = op_.scale;
    const std::byte* first = base() + query / group() * layout_.head_bytes;
    if (!is_cached()) first += block_of(row, 0) * layout_.block_bytes;
    args.cache = reinterpret_cast<const unsigned char*>(first);
    if (is_cached()) args.blocks = site_.launch->table(row);
    return args;
  }

  Site site_;
  ops::SelfAttention op_;
  Rows qkv_;
  Rows out_;
  SegmentBlocks segments_;
  BlockLayout layout_;
  const AttentionKernels* kernels_ = nullptr;
  std::int32_t kv_heads_;
  std::int32_t group_;
  HeadRows turned_;
};

}  // namespace ttsrt::cpu
