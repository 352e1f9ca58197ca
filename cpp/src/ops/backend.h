// The one interface between Programs and hardware.
//
// Decided: a backend owns the slots' state (caches, focus, counts, last codes), because kernels,
// graphs and plugins need it at fixed addresses; networks bind to it by layer and slot numbers
// only. launch() queues work and returns; wait() sees it done. Between the two nothing is
// allocated.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ops/program.h"
#include "step/batch.h"
#include "step/output.h"
#include "ttsrt/bench.h"
#include "ttsrt/stats.h"
#include "ttsrt/tensor.h"

namespace ttsrt::ops {

// Sizes of everything a backend keeps per slot. Zero layers or widths leave that part out.
struct StateSpec {
  std::int32_t slots = 0;
  // Of both caches below. int8: multiples of a float32 scale, largest magnitude / 127, that each
  // head's key and value at each position has.
  DType cache_dtype = DType::float32;
  // Paged self-attention cache.
  std::int32_t cache_layers = 0;
  std::int32_t cache_heads = 0;
  std::int32_t cache_head_dim = 0;
  std::int32_t num_blocks = 0;
  std::int32_t max_positions = 0;  // of one sequence; 0: as many as the blocks hold
  // Cross-attention keys and values: [slot][layer][rows][2][heads][head_dim].
  std::int32_t memory_layers = 0;  // decoder layers
  std::int32_t memory_heads = 0;
  std::int32_t memory_head_dim = 0;
  std::int32_t max_text_len = 0;
  std::int32_t max_context_memory = 0;  // rows of the context memory, "memory" models only
  // Context rows kept between the context encoder and prefill: float32 [slot][rows][dim].
  std::int32_t max_context_rows = 0;
  std::int32_t dim = 0;
  // Conv histories: float32 [slot][branch][kernel - 1][width] each.
  struct Conv {
    std::int32_t kernel = 1;
    std::int32_t width = 0;
  };
  std::vector<Conv> convs;
  std::int32_t codebooks = 0;  // C*S last codes
};

constexpr std::int32_t kBlockSize = 16;  // positions of a cache block

// Blocks that so many positions take.
constexpr std::int64_t blocks_for(std::int64_t positions) {
  return (positions + kBlockSize - 1) / kBlockSize;
}

// Most rows and draws one launch of an Executable may carry.
struct ProgramLimits {
  std::int32_t max_rows = 0;
  std::int32_t max_draws = 0;
  bool trace = false;
  bool profile = false;
};

// A compiled Program.
class Executable {
 public:
  virtual ~Executable() = default;
  // Queues one run over `rows`, which must stay put until Backend::wait(). Never waits, never
  // allocates.
  virtual void launch(const step::RowBatch& rows) = 0;
  // After wait(): the values of an activation, [rows of its space, width]; valid until the next
  // launch.
  virtual const float* activation(BufferId buffer) const = 0;
  virtual std::size_t activation_bytes() const = 0;
  // After wait(): how long the last launch ran on the device.
  virtual double seconds() const = 0;
  // Times of the stages, where they are kept (ProgramLimits::profile); `program` stays empty. Any
  // thread may ask, also during a launch.
  virtual std::vector<StageTimes> stage_times() const { return {}; }
};

struct BackendInfo {
  std::string device;       // "cpu"
  std::string description;  // "cpu: avx512_bf16, 2 threads"
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const BackendInfo& info() const = 0;

  // Called once by the thread that will launch and wait, where that is its own purpose: the backend
  // may bind it to a core or a device. Threads of the application never call it.
  virtual void adopt_thread() {}

  // Allocates the slots' state. Called once, before compile().
  virtual void create_state(const StateSpec& spec) = 0;
  virtual std::size_t state_bytes() const = 0;

  virtual std::unique_ptr<Executable> compile(const Program& program,
                                              const ProgramLimits& limits) = 0;

  // Queued in order with launches:
  virtual void admit(const step::Admission& admission) = 0;  // resets the slot
  virtual void copy_blocks(const std::vector<step::BlockCopy>& copies) = 0;

  // Forgets what is queued and hasn't run: a launch that failed half-way must leave nothing behind.
  virtual void discard() = 0;

  // Everything queued is done when this returns. Throws what a kernel failed with.
  virtual void wait() = 0;

  // After wait(): outcome of the draws of the last FinishStep, in draw order, `codes` as [draws,
  // C*S].
  virtual void read_draws(step::StepOutput& output) const = 0;

  // What the device reaches at best, measured for about `seconds` with nothing queued. A device
  // whose speed says nothing throws ConfigError.
  virtual MachinePeaks measure_peaks(double seconds) = 0;

  // GB/s of reading `bytes` again and again, as ttsrt::measure_read; the same devices throw.
  virtual double measure_read(std::int64_t bytes, double seconds) = 0;
};

}  // namespace ttsrt::ops
