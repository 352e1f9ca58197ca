// A stage is one part of a compiled Program that all threads of the team run together, with a
// barrier after it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cpu/kernels/kernels.h"
#include "cpu/slots.h"
#include "cpu/stages/shared_range.h"
#include "cpu/stages/stage_clock.h"
#include "ops/backend.h"
#include "ops/faults.h"
#include "step/packed_rows.h"

namespace ttsrt::cpu {

struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  bool is_empty() const { return begin >= end; }
};

// One launch, prepared for the stages by Compiled::prepare.
struct Launch : step::PackedRows {
  explicit Launch(std::int32_t max_rows) : faults(max_rows) {}

  ops::RowFaults faults;
  bool reads_scores = false;           // whether some draw adds to scores, or reads them
  std::vector<const float*> schedule;  // [max_rows] each row's, where the Program reads it
  std::int32_t pick_places = 0;        // MaskGit: rows of all places of all pick rows
  std::int32_t pick_passes = 0;        // MaskGit: the largest number of passes of any draw

  // The smallest range that has all rows of `rows` but settled ones (step::Segment).
  Range needed_rows(Range rows) const {
    for (const step::Segment& segment : batch->segments) {
      const std::int64_t settled = std::int64_t{segment.first_row} + segment.settled_rows;
      if (segment.first_row <= rows.begin && rows.begin < settled) rows.begin = settled;
    }
    for (auto segment = batch->segments.rbegin(); segment != batch->segments.rend(); ++segment) {
      const std::int64_t settled = std::int64_t{segment->first_row} + segment->settled_rows;
      if (segment->first_row < rows.end && rows.end <= settled) rows.end = segment->first_row;
    }
    return rows;
  }
};

// The data that a thread passes to a stage.
struct Worker {
  std::int32_t thread = 0;
  std::int32_t num_threads = 1;
  std::byte* scratch = nullptr;  // as many bytes as the largest scratch_bytes()
  std::int32_t pass = 0;         // pass of the enclosing loop of stages
};

// Returns the thread's share of [0, count), which depends only on count and on the team.
inline Range share_of(std::int64_t count, const Worker& worker) {
  return {count * worker.thread / worker.num_threads,
          count * (worker.thread + 1) / worker.num_threads};
}

// The environment of stages, which outlives them.
struct Site {
  const Kernels* kernels = nullptr;
  Slots* slots = nullptr;
  Launch* launch = nullptr;
  SharedRange* ranges = nullptr;  // one per thread, empty between stages
  std::size_t op = 0;             // of the Program, which the stage is a part of

  // Says that what this op stored or drew for a row is not finite. Any thread may call it.
  void add_fault(std::int32_t row, ops::FaultKind kind = ops::FaultKind::not_finite) const {
    launch->faults.add(row, ops::fault_word(op, kind));
  }
};

class Stage;
using Stages = std::vector<std::unique_ptr<Stage>>;

class Stage {
 public:
  virtual ~Stage() = default;
  // Describes the stage for profiles: "linear 2304 x 768 bfloat16".
  virtual std::string label() const = 0;
  // Whether this launch needs the stage; every thread gets the same answer.
  virtual bool is_needed() const { return true; }
  // Runs this thread's share.
  virtual void run(const Worker& worker) = 0;
  virtual std::size_t scratch_bytes() const { return 0; }
  // A loop returns stages here, which run `passes()` times instead of run().
  virtual const Stages* body() const { return nullptr; }
  virtual std::int32_t passes() const { return 0; }

  StageClock clock;
};

// A run-time activation: rows of floats at a fixed address.
struct Rows {
  float* data = nullptr;
  std::int64_t stride = 0;  // floats from row to row
  std::int64_t width = 0;

  // Must not be called on absent rows. NOLINTNEXTLINE(clang-analyzer-core.NullPointerArithm)
  float* row(std::int64_t index) const { return data + index * stride; }
};

}  // namespace ttsrt::cpu
