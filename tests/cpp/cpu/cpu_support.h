// Runs the same Programs on the CPU backend and on the reference, and compares their activations.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ops/reference/reference_backend.h"
#include "support/backend.h"
#include "support/native_backends.h"
#include "support/weights.h"
#include "ttsrt/error.h"

namespace ttsrt::test {

// Returns the largest difference relative to the reference's largest value. Values that the
// reference did not write (NaN) are not compared.
inline float distance(const float* expected, const float* got, std::int64_t count) {
  float largest = 0.0F;
  float scale = 1e-3F;
  for (std::int64_t i = 0; i < count; ++i) {
    if (std::isnan(expected[i])) continue;
    scale = std::max(scale, std::fabs(expected[i]));
    const float difference = std::fabs(expected[i] - got[i]);
    largest = std::isnan(difference) ? INFINITY : std::max(largest, difference);
  }
  return largest / scale;
}

// The two backends with the same state.
struct Pair {
  std::unique_ptr<ops::Backend> oracle;
  std::unique_ptr<ops::Backend> cpu;

  Pair(const std::string& isa, std::int32_t num_threads, const ops::StateSpec& spec)
      : Pair(test::open_native(isa, num_threads), spec) {}
  Pair(std::unique_ptr<ops::Backend> tested, const ops::StateSpec& spec)
      : Pair(ops::make_reference_backend(), std::move(tested), spec) {}
  Pair(std::unique_ptr<ops::Backend> expected, std::unique_ptr<ops::Backend> tested,
       const ops::StateSpec& spec)
      : oracle(std::move(expected)), cpu(std::move(tested)) {
    oracle->create_state(spec);
    cpu->create_state(spec);
  }

  void reset_slot(const step::SlotReset& reset) {
    oracle->reset_slot(reset);
    cpu->reset_slot(reset);
  }
  // Slots then keep nothing of what the memory of a device held before.
  void reset_slots(std::int32_t slots) {
    for (std::int32_t slot = 0; slot < slots; ++slot) reset_slot({slot, {}});
  }
};

// Makes a pair, so that a case runs over any backend.
using PairOpener = std::function<Pair(const ops::StateSpec&)>;

inline PairOpener native_pairs(const std::string& isa, std::int32_t num_threads) {
  return [isa, num_threads](const ops::StateSpec& spec) { return Pair(isa, num_threads, spec); };
}

// A Program compiled on both.
struct PairExecutable {
  Pair& pair;
  const ops::Program& program;
  std::unique_ptr<ops::Executable> oracle;
  std::unique_ptr<ops::Executable> cpu;
  step::StepOutput expected;  // of the last run
  step::StepOutput got;

  PairExecutable(Pair& backends, const ops::Program& compiled, const ops::ProgramLimits& limits)
      : pair(backends),
        program(compiled),
        oracle(backends.oracle->compile(compiled, limits)),
        cpu(backends.cpu->compile(compiled, limits)) {}

  // Launches on both backends and expects every activation to agree.
  void run(const step::RowBatch& batch, float tolerance, const std::string& what) {
    oracle->launch(batch);
    cpu->launch(batch);
    expected = run_queued(*pair.oracle);
    got = run_queued(*pair.cpu);
    for (std::size_t b = 0; b < program.activations.size(); ++b) {
      const ops::Activation& activation = program.activations[b];
      const auto rows = activation.space == ops::RowSpace::rows
                            ? static_cast<std::int64_t>(batch.rows)
                            : static_cast<std::int64_t>(batch.draws.size());
      const auto id = static_cast<ops::BufferId>(b);
      EXPECT_LE(distance(oracle->activation(id), cpu->activation(id), rows * activation.values()),
                tolerance)
          << what << ": " << activation.name;
    }
  }
};

// With trace, every activation is kept whole.
inline ops::ProgramLimits traced(std::int32_t max_rows, std::int32_t max_draws = 4) {
  ops::ProgramLimits limits;
  limits.max_rows = max_rows;
  limits.max_draws = max_draws;
  limits.trace = true;
  return limits;
}

// float32 sums agree closely, and so do products of float16 weights on the CPU, which widens them;
// a GPU rounds their inputs to float16. An input that rounds to another bfloat16 changes a product
// by more, and one that rounds to another of 127 integers by even more.
inline float tolerance_of(const WeightKind& kind, const std::string& backend) {
  if (ops::quantizes_inputs(kind.quantization)) return 2e-2F;
  if (kind.dtype == DType::float16 && !kind.is_quantized() && backend == kCuda) return 1e-3F;
  return kind.is_quantized() || kind.dtype == DType::bfloat16 ? 4e-3F : 2e-5F;
}

class CpuIsaTest : public testing::TestWithParam<std::string> {
 protected:
  const std::string& isa() const { return GetParam(); }
};

inline std::string isa_name(const testing::TestParamInfo<std::string>& info) { return info.param; }

}  // namespace ttsrt::test
