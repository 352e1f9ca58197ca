#include "cpu/stages/relative_attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/check.h"

namespace ttsrt::cpu {
namespace {

constexpr std::int64_t kFloat = sizeof(float);

class DistanceStage : public Stage {
 public:
  DistanceStage(const Site& site, const ops::DistanceRows& op, const Rows& out)
      : site_(site), op_(op), out_(out) {}

  std::string label() const override { return "distances"; }
  bool is_needed() const override { return site_.launch->rows > 0; }
  void run(const Worker& worker) override {
    const Range rows = share_of(site_.launch->rows, worker);
    const std::int64_t most = op_.table.rows / 2;
    const auto* table = reinterpret_cast<const float*>(op_.table.data);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const step::Segment& segment = site_.launch->segment(static_cast<std::int32_t>(row));
      TTSRT_CHECK(InternalError, segment.rows <= most, op_.table.name, ": distances of ",
                  segment.rows, " rows, of at most ", most);
      const std::int64_t first = most - segment.rows + 2 * (row - segment.first_row);
      std::memcpy(out_.row(2 * row), table + first * out_.width,
                  static_cast<std::size_t>(2 * out_.width * kFloat));
    }
  }

 private:
  Site site_;
  ops::DistanceRows op_;
  Rows out_;
};

// Where keys, values and distances of a launch are.
class RelativePart : public Stage {
 public:
  RelativePart(const Site& site, const ops::RelativeAttention& op, const RelativeRows& rows,
               std::byte* const* segments)
      : site_(site),
        op_(op),
        rows_(rows),
        segments_(segments),
        layout_(BlockLayout::of(DType::float32, op.heads, op.head_dim)),
        kernels_(&site.kernels->attention[static_cast<int>(Element::float32)]) {}

  bool is_needed() const override { return site_.launch->rows > 0; }

 protected:
  std::int64_t head_bytes() const { return std::int64_t{op_.head_dim} * kLanes * kFloat; }
  std::int64_t distance_bytes() const { return head_bytes() * op_.heads; }  // of a block

  std::int64_t first_block(const step::Segment& segment) const {
    const auto row = static_cast<std::size_t>(segment.first_row);
    return site_.launch->first_block[static_cast<std::size_t>(site_.launch->segment_of[row])];
  }
  std::byte* keys(const step::Segment& segment, std::int64_t head) const {
    return *segments_ + first_block(segment) * layout_.block_bytes + head * layout_.head_bytes;
  }
  // A segment's distances take twice as many blocks as its rows, or fewer.
  std::byte* distances(const step::Segment& segment, std::int64_t head) const {
    const std::int64_t all =
        site_.launch->first_block[static_cast<std::size_t>(site_.launch->segments)] *
        layout_.block_bytes;
    return *segments_ + all + 2 * first_block(segment) * distance_bytes() + head * head_bytes();
  }

  Site site_;
  ops::RelativeAttention op_;
  RelativeRows rows_;
  std::byte* const* segments_;
  BlockLayout layout_;
  const AttentionKernels* kernels_;
};

// A unit is a row of a head; a thread takes units that follow each other, first all of one head.
class RelativeStoreStage : public RelativePart {
 public:
  using RelativePart::RelativePart;

  std::string label() const override { return "store keys, values and distances"; }
  void run(const Worker& worker) override {
    const std::int64_t rows = site_.launch->rows;
    const Range units = share_of(rows * op_.heads, worker);
    for (std::int64_t unit = units.begin; unit < units.end; ++unit)
      store(static_cast<std::int32_t>(unit % rows), unit / rows);
  }

 private:
  void store(std::int32_t row, std::int64_t head) const {
    const step::Segment& segment = site_.launch->segment(row);
    const std::int32_t place = row - segment.first_row;
    const std::int64_t inner = rows_.out.width;
    const float* key = rows_.qkv.row(row) + inner + head * op_.head_dim;
    std::byte* block = keys(segment, head) + place / kLanes * layout_.block_bytes;
    kernels_->store(key, key + inner, block, block + layout_.value_offset(), place % kLanes,
                    op_.head_dim);
    for (std::int64_t i = 0; i < 2; ++i) {
      const std::int64_t at = 2 * std::int64_t{place} + i;
      const float* from = rows_.distances.row(2 * std::int64_t{row} + i) + head * op_.head_dim;
      std::byte* of = distances(segment, head) + at / kLanes * distance_bytes();
      float* to = reinterpret_cast<float*>(of) + at % kLanes;
      for (std::int32_t d = 0; d < op_.head_dim; ++d) to[std::int64_t{d} * kLanes] = from[d];
    }
  }
};

// A unit is as many queries of a head as kernels take at once. Threads take runs of units with as
// many keys.
class RelativeAttendStage : public RelativePart {
 public:
  RelativeAttendStage(const Site& site, const ops::RelativeAttention& op, const RelativeRows& rows,
                      std::byte* const* segments, std::int32_t max_rows)
      : RelativePart(site, op, rows, segments),
        max_rows_(max_rows),
        content_(vector_of(op.content_offset, rows.out.width)),
        distance_(vector_of(op.distance_offset, rows.out.width)) {}

  std::string label() const override { return "relative attention"; }
  std::size_t scratch_bytes() const override {
    return static_cast<std::size_t>(query_rows() * query_floats() * kFloat);
  }

  void run(const Worker& worker) override {
    const auto& segments = site_.launch->batch->segments;
    std::int64_t keys = 0;
    for (const step::Segment& segment : segments) keys += units_of(segment) * segment.rows;
    const Range mine = share_of(keys * op_.heads, worker);
    std::int64_t at = 0;
    for (std::int64_t head = 0; head < op_.heads; ++head) {
      for (const step::Segment& segment : segments) {
        for (std::int64_t unit = 0; unit < units_of(segment); ++unit) {
          if (at >= mine.begin && at < mine.end)
            attend(segment, head, static_cast<std::int32_t>(unit) * query_rows(), worker);
          at += segment.rows;
        }
      }
    }
  }

 private:
  std::int32_t query_rows() const { return site_.kernels->query_rows; }
  std::int64_t units_of(const step::Segment& segment) const {
    return (segment.rows + query_rows() - 1) / query_rows();
  }
  std::int64_t head_floats() const { return ops::padded_to(op_.head_dim, kLanes); }
  // Scores of distances of the keys, of the queries beside it, and to the beginning of a block.
  std::int64_t distance_floats() const {
    return weight_floats(std::int64_t{max_rows_} + kMostQueryRows + kLanes);
  }
  // Weights, scores of distances, and the query with either offset.
  std::int64_t query_floats() const {
    return weight_floats(max_rows_) + distance_floats() + 2 * head_floats();
  }

  // The queries [first, first + query_rows()) of a segment, or as many as there are.
  void attend(const step::Segment& segment, std::int64_t head, std::int32_t first,
              const Worker& worker) const {
    const std::int32_t count = std::min(query_rows(), segment.rows - first);
    AttendArgs contents[kMostQueryRows];
    AttendArgs distances[kMostQueryRows];
    // Vector n - 1 - (i - j) belongs to the query i and the key j.
    const std::int64_t lowest = segment.rows - first - count;
    for (std::int32_t q = 0; q < count; ++q) {
      auto* scratch = reinterpret_cast<float*>(worker.scratch) + q * query_floats();
      arguments(segment, head, first + q, scratch, contents[q]);
      distances[q] = contents[q];
      score_distances(segment, head, lowest / kLanes, scratch, distances[q]);
      const std::int64_t begin = segment.rows - 1 - (first + q);
      distances[q].length = static_cast<std::int32_t>(2 * std::int64_t{segment.rows} - 1 - first -
                                                      lowest / kLanes * kLanes);
      contents[q].prior = distances[q].weights + (begin - lowest / kLanes * kLanes);
    }
    if (count == query_rows() && count > 1) {
      site_.kernels->scores.rows(distances);
      kernels_->attend_rows(contents);
      return;
    }
    for (std::int32_t q = 0; q < count; ++q) {
      site_.kernels->scores.one(distances[q]);
      kernels_->attend(contents[q]);
    }
  }

  // Of a query over the keys. Its scratch begins with the weights; the queries stand at its end.
  void arguments(const step::Segment& segment, std::int64_t head, std::int32_t index,
                 float* scratch, AttendArgs& args) const {
    const std::int64_t row = std::int64_t{segment.first_row} + index;
    const std::int64_t column = head * op_.head_dim;
    float* with_content = scratch + query_floats() - 2 * head_floats();
    float* with_distance = with_content + head_floats();
    const float* query = rows_.qkv.row(row) + column;
    for (std::int32_t d = 0; d < op_.head_dim; ++d) {
      with_content[d] = query[d] + content_[column + d];
      with_distance[d] = query[d] + distance_[column + d];
    }
    args = attend_over(layout_, segment.rows, scratch);
    args.query = with_content;
    args.out = rows_.out.row(row) + column;
    args.cache = reinterpret_cast<const unsigned char*>(keys(segment, head));
  }

  // Of the same query over the distances from a block on.
  void score_distances(const step::Segment& segment, std::int64_t head, std::int64_t block,
                       float* scratch, AttendArgs& args) const {
    args.query = scratch + query_floats() - head_floats();
    args.weights = scratch + weight_floats(max_rows_);
    args.cache =
        reinterpret_cast<const unsigned char*>(distances(segment, head)) + block * distance_bytes();
    args.block_bytes = distance_bytes();
    args.value_offset = 0;
  }

  std::int32_t max_rows_;
  const float* content_;
  const float* distance_;
};

}  // namespace

std::int64_t relative_segment_bytes(const ops::RelativeAttention& op,
                                    const ops::ProgramLimits& limits) {
  const BlockLayout layout = BlockLayout::of(DType::float32, op.heads, op.head_dim);
  const std::int64_t distances = std::int64_t{2} * op.heads * op.head_dim * kLanes * kFloat;
  return limits.segment_blocks(ops::kBlockSize) * (layout.block_bytes + distances);
}

void add_distance_rows(const Site& site, const ops::DistanceRows& op, const Rows& out,
                       Stages& stages) {
  stages.push_back(std::make_unique<DistanceStage>(site, op, out));
}

void add_relative_attention(const Site& site, const ops::RelativeAttention& op,
                            const RelativeRows& rows, std::byte* const* segments,
                            std::int32_t max_rows, Stages& stages) {
  stages.push_back(std::make_unique<RelativeStoreStage>(site, op, rows, segments));
  stages.push_back(std::make_unique<RelativeAttendStage>(site, op, rows, segments, max_rows));
}

}  // namespace ttsrt::cpu
