// Attention that knows distances: DistanceRows, RelativeAttention.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/check.h"
#include "ops/reference/linear.h"
#include "ops/reference/run.h"

namespace ttsrt::ops::reference {
namespace {

// One head of one segment. Rows are those of the whole buffers, `stride` floats from row to row.
struct Head {
  const float* queries;    // [rows, stride]
  const float* keys;       // [rows, stride]
  const float* values;     // [rows, stride]
  const float* distances;  // [2 * rows, inner]
  const float* content;    // [head_dim]
  const float* distance;   // [head_dim]
  std::int64_t rows;
  std::int64_t stride;
  std::int64_t inner;
  std::int64_t dim;

  double score(std::int64_t i, std::int64_t j) const {
    const float* q = queries + i * stride;
    const float* k = keys + j * stride;
    const float* p = distances + (rows - 1 - (i - j)) * inner;
    double sum = 0.0;
    for (std::int64_t d = 0; d < dim; ++d) {
      sum += (static_cast<double>(q[d]) + content[d]) * k[d];
      sum += (static_cast<double>(q[d]) + distance[d]) * p[d];
    }
    return sum / std::sqrt(static_cast<double>(dim));
  }

  void attend(std::int64_t i, float* out) const {
    std::vector<double> shares(static_cast<std::size_t>(rows));
    for (std::int64_t j = 0; j < rows; ++j) shares[static_cast<std::size_t>(j)] = score(i, j);
    const double largest = *std::max_element(shares.begin(), shares.end());
    double sum = 0.0;
    for (double& share : shares) sum += share = std::exp(share - largest);
    for (std::int64_t d = 0; d < dim; ++d) {
      double value = 0.0;
      for (std::int64_t j = 0; j < rows; ++j)
        value += shares[static_cast<std::size_t>(j)] / sum * values[j * stride + d];
      out[d] = static_cast<float>(value);
    }
  }
};

}  // namespace

void run(const DistanceRows& op, Run& at) {
  const std::int64_t width = op.table.cols;
  const std::int64_t most = op.table.rows / 2;
  const float* table = vector_values(op.table, op.table.rows * width);
  float* out = at.values(op.out);
  for (const step::Segment& segment : at.batch.segments) {
    TTSRT_CHECK(InternalError, segment.rows <= most, op.table.name, ": distances of ", segment.rows,
                " rows, of at most ", most);
    const float* first = table + (most - segment.rows) * width;
    std::copy_n(first, std::int64_t{2} * segment.rows * width,
                out + std::int64_t{2} * segment.first_row * width);
  }
}

void run(const RelativeAttention& op, Run& at) {
  const std::int64_t inner = std::int64_t{op.heads} * op.head_dim;
  const float* qkv = at.rows(op.qkv, 3 * inner);
  const float* distances = at.values(op.distances);
  float* out = at.rows(op.out, inner);
  const float* content = vector_values(op.content_offset, inner);
  const float* distance = vector_values(op.distance_offset, inner);
  for (const step::Segment& segment : at.batch.segments) {
    for (std::int64_t head = 0; head < op.heads; ++head) {
      const std::int64_t column = head * op.head_dim;
      const float* first = qkv + segment.first_row * 3 * inner + column;
      const Head of{first,
                    first + inner,
                    first + 2 * inner,
                    distances + std::int64_t{2} * segment.first_row * inner + column,
                    content + column,
                    distance + column,
                    segment.rows,
                    3 * inner,
                    inner,
                    op.head_dim};
      for (std::int64_t i = 0; i < segment.rows; ++i)
        of.attend(i, out + (segment.first_row + i) * inner + column);
    }
  }
}

}  // namespace ttsrt::ops::reference
