// SelfAttention over the paged cache, or over the rows of the segment only.
#include <vector>

#include "core/check.h"
#include "core/half.h"
#include "ops/reference/attention.h"
#include "ops/reference/linear.h"
#include "ops/reference/run.h"
#include "ops/reference/weight_reader.h"
#include "rules/analyzer.h"

namespace ttsrt::ops::reference {
namespace {

std::int32_t block_of(const step::Segment& segment, std::int32_t position) {
  const std::int32_t index = position / kBlockSize;
  TTSRT_CHECK(InternalError, segment.blocks != nullptr && index < segment.num_blocks, "position ",
              position, " needs block ", index, " of a table of ", segment.num_blocks);
  return segment.blocks[index];
}

// The rows of one segment: [rows, (heads + 2 * kv_heads) * head_dim], Q, K and V side by side.
struct SegmentRows {
  const SelfAttention& op;
  const step::Segment& segment;
  std::vector<float> values;  // queries and keys as they stand at their positions

  std::int64_t keys_begin() const { return std::int64_t{op.heads} * op.head_dim; }
  std::int64_t kv_width() const { return std::int64_t{op.num_kv_heads()} * op.head_dim; }
  std::int64_t width() const { return keys_begin() + 2 * kv_width(); }
  const float* queries(std::int32_t i) const { return values.data() + i * width(); }
  const float* keys(std::int32_t i) const { return queries(i) + keys_begin(); }
  const float* kept(std::int32_t i, std::int32_t part) const { return keys(i) + part * kv_width(); }
};

// Turns the pairs of every head of x [heads * head_dim] by the angles of a row of the table.
void rotate(const std::vector<float>& angles, std::int32_t heads, std::int32_t head_dim, float* x) {
  const std::size_t pairs = angles.size() / 2;
  for (std::int32_t head = 0; head < heads; ++head) {
    float* first = x + std::int64_t{head} * head_dim;
    float* second = first + pairs;
    for (std::size_t j = 0; j < pairs; ++j) {
      const double a = first[j];
      const double b = second[j];
      first[j] = static_cast<float>(a * angles[j] - b * angles[pairs + j]);
      second[j] = static_cast<float>(b * angles[j] + a * angles[pairs + j]);
    }
  }
}

// Divides each head of x [heads * head_dim] by the root of its mean square.
void normalize_heads(const Weight& weight, const SelfAttention& op, std::int32_t heads, float* x) {
  const float* scales = vector_values(weight, std::int64_t{heads} * op.head_dim);
  for (std::int32_t head = 0; head < heads; ++head) {
    Norm norm;
    norm.epsilon = op.head_norm_epsilon;
    norm.kind = NormKind::rms;
    norm.weight = weight;
    norm.weight.rows = 1;
    norm.weight.cols = op.head_dim;
    norm.weight.data = reinterpret_cast<const std::byte*>(scales + head * op.head_dim);
    normalize(norm, x + head * op.head_dim, 1, x + head * op.head_dim);
  }
}

// Turns queries and keys of a row, or those heads of them that the rope turns.
void rotate_row(const SelfAttention& op, const std::vector<float>& angles, float* row) {
  const std::int32_t kv_heads = op.num_kv_heads();
  if (op.rope_heads == 0) return rotate(angles, op.heads + kv_heads, op.head_dim, row);
  rotate(angles, op.rope_heads, op.head_dim, row);
  rotate(angles, op.rope_heads, op.head_dim, row + std::int64_t{op.heads} * op.head_dim);
}

void rotate_rows(SegmentRows& rows) {
  std::vector<float> angles(static_cast<std::size_t>(rows.op.rope.cols));
  for (std::int32_t i = 0; i < rows.segment.rows; ++i) {
    WeightReader(rows.op.rope).row(rows.segment.position + i, angles.data());
    rotate_row(rows.op, angles, rows.values.data() + i * rows.width());
  }
}

// Rounds keys and values that are not cached.
void round_kept(SegmentRows& rows) {
  const DType dtype = rows.op.segment_dtype;
  for (std::int32_t i = 0; i < rows.segment.rows && dtype != DType::float32; ++i) {
    float* kept = rows.values.data() + i * rows.width() + rows.keys_begin();
    for (std::int64_t d = 0; d < 2 * rows.kv_width(); ++d)
      kept[d] = dtype == DType::bfloat16 ? from_bfloat16(to_bfloat16(kept[d]))
                                         : from_float16(to_float16(kept[d]));
  }
}

SegmentRows rows_of(const SelfAttention& op, const step::Segment& segment, const float* qkv) {
  SegmentRows rows{op, segment, {}};
  rows.values.assign(qkv + segment.first_row * rows.width(),
                     qkv + (segment.first_row + segment.rows) * rows.width());
  for (std::int32_t i = 0; i < segment.rows && op.q_norm.is_present(); ++i) {
    float* row = rows.values.data() + i * rows.width();
    normalize_heads(op.q_norm, op, op.heads, row);
    normalize_heads(op.k_norm, op, op.num_kv_heads(), row + rows.keys_begin());
  }
  if (op.rope.is_present()) rotate_rows(rows);
  if (op.cache_layer < 0) round_kept(rows);
  return rows;
}
// Appends the segment's keys and values.
void append(const SegmentRows& rows, Run& at) {
  State& state = at.state;
  const SelfAttention& op = rows.op;
  for (std::int32_t i = 0; i < rows.segment.rows; ++i) {
    const std::int32_t position = rows.segment.position + i;
    const std::int32_t block = block_of(rows.segment, position);
    for (std::int32_t part = 0; part < 2; ++part) {
      float* kept = state.cache_row(op.cache_layer, block, position % kBlockSize, part);
      state.keep(rows.kept(i, part), op.num_kv_heads(), op.head_dim, kept);
      at.check_finite(rows.segment.first_row + i, kept, rows.kv_width());
    }
  }
}

Seen cached_rows(const SelfAttention& op, const step::Segment& segment, State& state) {
  Seen seen;
  for (std::int32_t position = 0; position < segment.position + segment.rows; ++position) {
    const std::int32_t block = block_of(segment, position);
    seen.keys.push_back(state.cache_row(op.cache_layer, block, position % kBlockSize, 0));
    seen.values.push_back(state.cache_row(op.cache_layer, block, position % kBlockSize, 1));
  }
  return seen;
}

Seen own_rows(const SegmentRows& rows) {
  Seen seen;
  for (std::int32_t i = 0; i < rows.segment.rows; ++i) {
    seen.keys.push_back(rows.kept(i, 0));
    seen.values.push_back(rows.kept(i, 1));
  }
  return seen;
}

// Adds what the conditional row of each draw attends to in its text to the draw's scores.
struct Scorer {
  const SelfAttention& op;
  HeadShape shape;
  Run& at;

  void add(const SegmentRows& rows, const Seen& seen) const {
    for (std::size_t d = 0; d < at.batch.draws.size(); ++d) {
      const step::Draw& draw = at.batch.draws[d];
      const std::int32_t i = draw.conditional_row - rows.segment.first_row;
      const rules::SlotRules& rules = at.state.slot(draw.slot).rules;
      if (i < 0 || i >= rows.segment.rows || !rules::reads_scores(rules)) continue;
      const std::int64_t width = at.state.spec().max_text_len;
      float* scores = at.draws(op.scores, width) + static_cast<std::int64_t>(d) * width;
      for (std::int32_t head = 0; head < op.heads; ++head) {
        if (((op.score_heads >> head) & 1U) != 0)
          add_head(head, rules, rows.queries(i), seen, rows.segment.position + i + 1, scores);
      }
    }
  }

 private:
  void add_head(std::int32_t head, const rules::SlotRules& rules, const float* query,
                const Seen& seen, std::int64_t count, float* scores) const {
    const auto probabilities = attention_probabilities(shape, head, query, seen, count);
    const auto begin = static_cast<std::size_t>(rules.analyzer.text_begin);
    TTSRT_CHECK(InternalError,
                begin + static_cast<std::size_t>(rules.text_len) <= probabilities.size(),
                "scores: text from position ", begin, " on of ", rules.text_len, " rows, of which ",
                probabilities.size(), " are seen");
    for (std::int32_t j = 0; j < rules.text_len; ++j) {
      const double share = probabilities[begin + static_cast<std::size_t>(j)] * op.score_share;
      scores[j] = static_cast<float>(scores[j] + share);
    }
  }
};

}  // namespace

void run(const SelfAttention& op, Run& at) {
  const HeadShape shape{op.heads, op.head_dim, op.kv_heads, op.scale};
  const std::int64_t width = std::int64_t{op.heads} * op.head_dim;
  const float* qkv = at.rows(op.qkv, width + std::int64_t{2} * op.num_kv_heads() * op.head_dim);
  float* out = at.rows(op.out, width);
  const bool is_cached = op.cache_layer >= 0;
  for (const step::Segment& segment : at.batch.segments) {
    const SegmentRows rows = rows_of(op, segment, qkv);
    if (is_cached) append(rows, at);
    const Seen seen = is_cached ? cached_rows(op, segment, at.state) : own_rows(rows);
    const std::int64_t before = is_cached ? segment.position : 0;
    for (std::int32_t i = 0; i < segment.rows; ++i) {
      const std::int64_t count = before + (op.causal ? i + 1 : segment.rows);
      attend(shape, rows.queries(i), seen, count, out + (segment.first_row + i) * width);
    }
    if (op.scores != kNoBuffer) Scorer{op, shape, at}.add(rows, seen);
  }
}

}  // namespace ttsrt::ops::reference
