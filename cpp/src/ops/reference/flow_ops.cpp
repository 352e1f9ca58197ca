// The ops of flow matching: rows of whole items in the slots, modulation by a schedule's rows,
// grouped convolutions, and the steps of the integration.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/check.h"
#include "core/half.h"
#include "ops/reference/linear.h"
#include "ops/reference/run.h"
#include "ops/reference/weight_reader.h"

namespace ttsrt::ops::reference {
namespace {

bool is_gone(const step::Segment& segment) { return segment.slot == step::kNoSlot; }

std::int64_t width_of_array(const Run& at, std::int32_t array) {
  return at.state.spec().rows.at(static_cast<std::size_t>(array)).width;
}

const float* schedule_of(const step::Segment& segment, Run& at) {
  return at.state.schedule_row(at.state.spec().read_schedule_row(segment));
}

// Where the unconditional rows of a segment's item begin, or -1 where it has none.
std::int32_t unconditional_row(const step::RowBatch& batch, std::size_t segment) {
  return step::partner_of(batch.segments, segment) == nullptr
             ? -1
             : batch.segments[segment + 1].first_row;
}

// The inputs of a group of one row and its neighbours, as the product's weights take them.
void gather_group(const GroupedConv& op, const step::Segment& segment, const float* x,
                  std::int64_t width, std::int64_t i, std::int64_t group, float* out) {
  const std::int64_t inputs = width / op.groups;
  for (std::int64_t tap = 0; tap < op.kernel; ++tap) {
    const std::int64_t from = i + tap - op.kernel / 2;
    const bool is_inside = from >= 0 && from < segment.rows;
    const float* row = x + (segment.first_row + (is_inside ? from : 0)) * width + group * inputs;
    for (std::int64_t c = 0; c < inputs; ++c) {
      const float value = is_inside ? row[c] : 0.0F;
      const bool is_narrow = op.weight.dtype == DType::bfloat16;
      out[tap * inputs + c] = is_narrow ? from_bfloat16(to_bfloat16(value)) : value;
    }
  }
}

}  // namespace

void run(const LoadRows& op, Run& at) {
  const std::int64_t width = width_of_array(at, op.array);
  float* out = at.rows(op.out, width);
  for (const step::Segment& segment : at.batch.segments) {
    for (std::int32_t i = 0; i < segment.rows; ++i) {
      float* to = out + (segment.first_row + i) * width;
      const float* from =
          is_gone(segment) ? nullptr
                           : at.state.array_row(at.state.slot(segment.slot), op.array,
                                                segment.branch, (segment.position + i) / op.repeat);
      from != nullptr ? std::copy(from, from + width, to) : std::fill_n(to, width, 0.0F);
    }
  }
}

void run(const SaveRows& op, Run& at) {
  const std::int64_t width = width_of_array(at, op.array);
  const std::int64_t stride = at.width_of(op.x);
  const float* x = at.rows(op.x, stride);
  for (const step::Segment& segment : at.batch.segments) {
    if (is_gone(segment)) continue;
    for (std::int32_t i = 0; i < segment.rows; ++i) {
      float* to = at.state.array_row(at.state.slot(segment.slot), op.array, segment.branch,
                                     segment.position + i);
      if (to == nullptr) continue;
      const float* from = x + (segment.first_row + i) * stride + op.first;
      std::copy(from, from + width, to);
      at.check_finite(segment.first_row + i, from, width);
    }
  }
}

void run(const StoreSchedule& op, Run& at) {
  const std::int64_t width = at.state.spec().schedule_width;
  const float* x = at.rows(op.x, width);
  for (const step::Segment& segment : at.batch.segments) {
    if (is_gone(segment)) continue;
    for (std::int32_t i = 0; i < segment.rows; ++i) {
      const std::int32_t position = segment.position + i;
      const float* from = x + (segment.first_row + i) * width;
      std::copy(from, from + width,
                at.state.schedule_row(at.state.spec().stored_schedule_row(segment, position)));
      at.check_finite(segment.first_row + i, from, width);
    }
  }
}

void run(const ModulatedNorm& op, Run& at) {
  const std::int64_t width = at.width_of(op.x);
  const float* x = at.rows(op.x, width);
  float* out = at.rows(op.out, width);
  for (const step::Segment& segment : at.batch.segments) {
    const float* columns = schedule_of(segment, at);
    for (std::int32_t i = 0; i < segment.rows; ++i) {
      const float* row = x + (segment.first_row + i) * width;
      float* to = out + (segment.first_row + i) * width;
      const RowMoments moments(row, width, NormKind::layer, op.epsilon);
      for (std::int64_t d = 0; d < width; ++d)
        to[d] = static_cast<float>((row[d] - moments.mean) * moments.inverse *
                                       (1.0 + columns[op.scale + d]) +
                                   columns[op.shift + d]);
    }
  }
}

void run(const AddModulated& op, Run& at) {
  const std::int64_t width = at.width_of(op.x);
  const float* x = at.rows(op.x, width);
  float* out = at.rows(op.out, width);
  for (const step::Segment& segment : at.batch.segments) {
    const float* gate = schedule_of(segment, at) + op.gate;
    for (std::int64_t i = segment.first_row; i < segment.first_row + segment.rows; ++i) {
      for (std::int64_t d = 0; d < width; ++d) {
        float& value = out[i * width + d];
        value = static_cast<float>(value + static_cast<double>(x[i * width + d]) * gate[d]);
      }
    }
  }
}

void run(const JoinColumns& op, Run& at) {
  const std::int64_t width = at.width_of(op.out);
  float* out = at.rows(op.out, width);
  std::int64_t first = 0;
  for (const BufferId part : op.parts) {
    const std::int64_t count = at.width_of(part);
    const float* x = at.rows(part, count);
    for (std::int64_t r = 0; r < at.batch.rows; ++r)
      std::copy_n(x + r * count, count, out + r * width + first);
    first += count;
  }
}

void run(const ActivateRows& op, Run& at) {
  const std::int64_t width = at.width_of(op.x);
  const float* x = at.rows(op.x, width);
  float* out = at.rows(op.out, width);
  for (const step::Segment& segment : at.batch.segments) {
    const float* shift = op.shift < 0 ? nullptr : schedule_of(segment, at) + op.shift;
    for (std::int64_t i = segment.first_row; i < segment.first_row + segment.rows; ++i) {
      for (std::int64_t d = 0; d < width; ++d) {
        const double value = op.scale * activated(op.activate, x[i * width + d]);
        out[i * width + d] = static_cast<float>(shift == nullptr ? value : value + shift[d]);
      }
    }
  }
}

void run(const GroupedConv& op, Run& at) {
  const std::int64_t width = at.width_of(op.x);
  const std::int64_t outputs = op.weight.rows;
  const float* x = at.rows(op.x, width);
  float* out = at.rows(op.out, outputs);
  const float* bias = vector_values(op.bias, outputs);
  const std::int64_t group_outputs = outputs / op.groups;
  const WeightReader reader(op.weight);
  std::vector<std::vector<float>> weights(static_cast<std::size_t>(outputs));
  for (std::int64_t n = 0; n < outputs; ++n) {
    weights[static_cast<std::size_t>(n)].resize(static_cast<std::size_t>(op.weight.cols));
    reader.row(n, weights[static_cast<std::size_t>(n)].data());
  }
  std::vector<float> inputs(static_cast<std::size_t>(op.weight.cols));
  for (const step::Segment& segment : at.batch.segments) {
    for (std::int64_t i = 0; i < segment.rows; ++i) {
      for (std::int64_t n = 0; n < outputs; ++n) {
        if (n % group_outputs == 0)
          gather_group(op, segment, x, width, i, n / group_outputs, inputs.data());
        double sum = bias[n];
        for (std::size_t k = 0; k < inputs.size(); ++k)
          sum += static_cast<double>(inputs[k]) * weights[static_cast<std::size_t>(n)][k];
        float& target = out[(segment.first_row + i) * outputs + n];
        const double value = activated(op.activate, sum);
        target = static_cast<float>(op.accumulate ? target + value : value);
      }
    }
  }
}

void run(const FlowStep& op, Run& at) {
  const std::int64_t dim = at.width_of(op.velocity);
  const float* velocity = at.rows(op.velocity, dim);
  for (std::size_t s = 0; s < at.batch.segments.size(); ++s) {
    const step::Segment& segment = at.batch.segments[s];
    if (is_gone(segment) || segment.branch != step::Branch::conditional) continue;
    Slot& slot = at.state.slot(segment.slot);
    const std::int32_t partner = unconditional_row(at.batch, s);
    if (is_gone(segment)) continue;
    for (std::int32_t i = 0; i < segment.rows; ++i) {
      const std::int32_t position = segment.position + i;
      const auto row = [&](std::int32_t array) {
        return at.state.array_row(slot, array, step::Branch::conditional, position);
      };
      float* base = row(op.base);
      float* kept =
          slot.context_rows.data() + std::int64_t{segment.kept_offset + i} * at.state.spec().dim;
      if (segment.is_last && op.mask >= 0 && row(op.mask)[0] != 0.0F) {
        std::copy_n(row(op.fixed), dim, kept);
        continue;
      }
      for (std::int64_t d = 0; d < dim; ++d) {
        const double c = velocity[(segment.first_row + i) * dim + d];
        const double u = partner < 0 ? c : velocity[(partner + i) * dim + d];
        const double v = c + (c - u) * slot.rules.flow_scale;
        kept[d] = static_cast<float>(base[d] + v * segment.step_size);
        if (segment.ends_step) base[d] = kept[d];
      }
      at.check_finite(segment.first_row + i, kept, dim);
    }
  }
}

}  // namespace ttsrt::ops::reference
