#include "cpu/stages/attention_stages.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "core/check.h"
#include "cpu/stages/self_attention_part.h"
#include "rules/analyzer.h"

namespace ttsrt::cpu {
namespace {

class StoreRowsStage : public SelfAttentionPart {
 public:
  StoreRowsStage(const Site& site, const ops::SelfAttention& op, const SelfAttentionRows& rows,
                 const SegmentBlocks& segments, bool stores_all)
      : SelfAttentionPart(site, op, rows, segments), stores_all_(stores_all) {}

  std::string label() const override { return "store keys and values"; }
  // A launch of single rows may store where it attends, unless several heads read what is stored.
  bool is_needed() const override {
    return stores_all_ || !site_.launch->has_single_rows || group() > 1;
  }
  std::size_t scratch_bytes() const override {
    return static_cast<std::size_t>(op_.head_dim) * sizeof(float);
  }

  // Each thread takes some of the heads, so that it writes whole blocks, or, where heads are fewer
  // than threads, some of the rows.
  void run(const Worker& worker) override {
    const Range heads = share_of(kv_heads(), worker);
    const bool splits_heads = kv_heads() >= worker.num_threads;
    const Range rows =
        splits_heads ? Range{0, site_.launch->rows} : share_of(site_.launch->rows, worker);
    const Range mine = splits_heads ? heads : Range{0, kv_heads()};
    auto* scratch = reinterpret_cast<float*>(worker.scratch);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const auto at = static_cast<std::int32_t>(row);
      for (std::int64_t head = mine.begin; head < mine.end; ++head) {
        store(site_.launch->segment(at), at, static_cast<std::int32_t>(head), scratch);
      }
    }
  }

 private:
  bool stores_all_;
};

class AttendRowsStage : public SelfAttentionPart {
 public:
  AttendRowsStage(const Site& site, const ops::SelfAttention& op, const SelfAttentionRows& rows,
                  const SegmentBlocks& segments, std::int32_t max_positions)
      : SelfAttentionPart(site, op, rows, segments), max_positions_(max_positions) {}

  std::string label() const override { return "self-attention"; }
  // Weights and a turned query for each query that is attended at once.
  std::size_t scratch_bytes() const override {
    return static_cast<std::size_t>(query_rows() *
                                    (weight_floats(max_positions_) + head_floats())) *
           sizeof(float);
  }

  // A unit is a query: a row and one of its heads. Units are ordered by the head of keys they read,
  // then by row, and balanced by the number of keys: each thread takes a run of the keys of all
  // units.
  void run(const Worker& worker) override {
    const Launch& launch = *site_.launch;
    std::int64_t keys = 0;
    for (std::int32_t row = 0; row < launch.rows; ++row)
      keys += length_of(launch.segment(row), row);
    if (keys == 0) return;
    const Range share = share_of(keys * op_.heads, worker);
    const std::int64_t keys_of_head = keys * group();
    for (std::int64_t head = share.begin / keys_of_head;
         head < kv_heads() && head * keys_of_head < share.end; ++head) {
      attend_head(static_cast<std::int32_t>(head), head * keys_of_head, share, worker);
    }
  }

 private:
  // Queries of one segment that read one head: query `query` of row `row` and those behind it.
  struct Run {
    std::int32_t row = 0;
    std::int32_t query = 0;
    std::int32_t queries = 0;
    bool goes_on(const Launch& launch, std::int32_t next) const {
      return queries > 0 && launch.segment_of[static_cast<std::size_t>(next)] ==
                                launch.segment_of[static_cast<std::size_t>(row)];
    }
  };

  std::int32_t query_rows() const { return site_.kernels->query_rows; }

  // The units of a share that read this head, whose first unit begins at key `before`.
  void attend_head(std::int32_t head, std::int64_t before, const Range& share,
                   const Worker& worker) const {
    const Launch& launch = *site_.launch;
    Run run;
    for (std::int32_t row = 0; row < launch.rows && before < share.end; ++row) {
      const std::int32_t length = length_of(launch.segment(row), row);
      for (std::int32_t query = 0; query < group() && before < share.end; ++query) {
        const std::int64_t at = before;
        before += length;
        if (at < share.begin) continue;
        if (!run.goes_on(launch, row)) {
          attend_run(run, head, worker);
          run = {row, query, 0};
        }
        ++run.queries;
      }
    }
    attend_run(run, head, worker);
  }

  void attend_run(const Run& run, std::int32_t head, const Worker& worker) const {
    if (run.queries == 0) return;
    const step::Segment& segment = site_.launch->segment(run.row);
    auto* scratch = reinterpret_cast<float*>(worker.scratch);
    const bool stores = site_.launch->has_single_rows && group() == 1;
    AttendArgs args[kMostQueryRows];
    std::int32_t i = 0;
    for (; query_rows() > 1 && i + query_rows() <= run.queries; i += query_rows()) {
      for (std::int32_t q = 0; q < query_rows(); ++q)
        args[q] = attend_args(segment, run, i + q, head, scratch, q);
      kernels_->attend_rows(args);
    }
    for (; i < run.queries; ++i) {
      if (stores) store(segment, run.row + i, head, scratch);
      kernels_->attend(attend_args(segment, run, i, head, scratch, 0));
    }
  }

  // Of query `index` of a run, with place `place` of the scratch.
  AttendArgs attend_args(const step::Segment& segment, const Run& run, std::int32_t index,
                         std::int32_t head, float* scratch, std::int32_t place) const {
    const std::int32_t row = run.row + (run.query + index) / group();
    const std::int32_t query = head * group() + (run.query + index) % group();
    float* weights = scratch + place * (weight_floats(max_positions_) + head_floats());
    AttendArgs args =
        query_args(segment, row, query, weights, weights + weight_floats(max_positions_));
    args.out = out_.row(row) + std::int64_t{query} * op_.head_dim;
    return args;
  }

  std::int32_t max_positions_;
};

// The heads that add to the scores of a draw are attended once more, by one thread and in order, so
// that neither the row's output nor other rows depend on whether a draw reads its scores.
class ScoreTextStage : public SelfAttentionPart {
 public:
  ScoreTextStage(const Site& site, const ops::SelfAttention& op, const SelfAttentionRows& rows,
                 const SegmentBlocks& segments, std::int32_t max_positions)
      : SelfAttentionPart(site, op, rows, segments),
        scores_(rows.scores),
        max_positions_(max_positions) {}

  std::string label() const override { return "alignment scores"; }
  bool is_needed() const override { return site_.launch->reads_scores; }
  // Weights, a turned query and an output that nothing reads.
  std::size_t scratch_bytes() const override {
    return static_cast<std::size_t>(weight_floats(max_positions_) + 2 * head_floats()) *
           sizeof(float);
  }

  void run(const Worker& worker) override {
    const Range draws = share_of(site_.launch->draws, worker);
    for (std::int64_t d = draws.begin; d < draws.end; ++d) {
      const step::Draw& draw = site_.launch->batch->draws[static_cast<std::size_t>(d)];
      const rules::SlotRules& rules = site_.slots->rules[static_cast<std::size_t>(draw.slot)];
      if (!rules::reads_scores(rules)) continue;
      for (std::uint64_t heads = op_.score_heads; heads != 0; heads &= heads - 1) {
        add_head(draw.conditional_row, std::countr_zero(heads), rules, scores_.row(d),
                 reinterpret_cast<float*>(worker.scratch));
      }
    }
  }

 private:
  void add_head(std::int32_t row, std::int32_t head, const rules::SlotRules& rules, float* scores,
                float* scratch) const {
    float* turned_query = scratch + weight_floats(max_positions_);
    AttendArgs args = query_args(site_.launch->segment(row), row, head, scratch, turned_query);
    args.out = turned_query + head_floats();
    const std::int32_t begin = rules.analyzer.text_begin;
    TTSRT_CHECK(InternalError, begin + rules.text_len <= args.length, "scores: text from position ",
                begin, " on of ", rules.text_len, " rows, of which ", args.length, " are seen");
    const float share = op_.score_share * kernels_->attend(args);
    for (std::int32_t i = 0; i < rules.text_len; ++i) scores[i] += args.weights[begin + i] * share;
  }

  Rows scores_;
  std::int32_t max_positions_;
};

}  // namespace

AttendArgs attend_over(const BlockLayout& layout, std::int32_t length, float* weights) {
  AttendArgs args = {};
  args.weights = weights;
  args.block_bytes = layout.block_bytes;
  args.value_offset = layout.value_offset();
  args.length = length;
  args.head_dim = layout.head_dim;
  args.scale = 1.0F / std::sqrt(static_cast<float>(layout.head_dim));
  return args;
}

void add_store_rows(const Site& site, const ops::SelfAttention& op, const SelfAttentionRows& rows,
                    const SegmentBlocks& segments, Stages& stages) {
  stages.push_back(std::make_unique<StoreRowsStage>(site, op, rows, segments, true));
}

std::int32_t max_cached_positions(const ops::StateSpec& spec) {
  if (spec.max_positions > 0) return spec.max_positions;
  return static_cast<std::int32_t>(std::int64_t{spec.num_blocks} * ops::kBlockSize);
}

void add_self_attention(const Site& site, const ops::SelfAttention& op,
                        const SelfAttentionRows& rows, const SegmentBlocks& segments,
                        std::int32_t max_rows, Stages& stages) {
  stages.push_back(std::make_unique<StoreRowsStage>(site, op, rows, segments, false));
  const bool is_cached = op.cache_layer >= 0;
  const std::int32_t max_positions =
      is_cached ? max_cached_positions(site.slots->spec()) : max_rows;
  stages.push_back(std::make_unique<AttendRowsStage>(site, op, rows, segments, max_positions));
  if (rows.scores.data == nullptr) return;
  stages.push_back(std::make_unique<ScoreTextStage>(site, op, rows, segments, max_positions));
}

}  // namespace ttsrt::cpu
