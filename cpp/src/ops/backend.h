// The interface between Programs and hardware.
//
// A backend owns the state of the slots (caches, focus, counts, last codes), because kernels,
// graphs and plugins need it at fixed addresses; networks refer to it only by layer and slot
// numbers. Work is queued (reset_slot, launch, copy_blocks), submitted as a flight and collected.
// The outcome belongs to the flight, so the next flight may be submitted before the last one is
// collected. None of these calls allocates memory.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ops/program.h"
#include "step/batch.h"
#include "step/output.h"
#include "step/packed_rows.h"
#include "ttsrt/stats.h"
#include "ttsrt/tensor.h"

namespace ttsrt::ops {

// The sizes of everything that a backend stores per slot. Zero layers or widths leave a part out.
struct StateSpec {
  std::int32_t slots = 0;
  // The type of both caches below. int8 values are multiples of a float32 scale, largest magnitude
  // / 127, which each head's key and each head's value has at each position.
  DType cache_dtype = DType::float32;
  // Paged self-attention cache.
  std::int32_t cache_layers = 0;
  std::int32_t cache_heads = 0;
  std::int32_t cache_head_dim = 0;
  std::int32_t num_blocks = 0;
  std::int32_t max_positions = 0;  // limit for one sequence; 0: as many as the blocks hold
  // Cross-attention keys and values: [slot][layer][rows][2][heads][head_dim].
  std::int32_t memory_layers = 0;  // decoder layers
  std::int32_t memory_heads = 0;
  std::int32_t memory_head_dim = 0;
  std::int32_t max_text_len = 0;
  std::int32_t max_context_memory = 0;  // rows of the context memory, "memory" models only
  // Context rows kept between the context encoder and prefill, and the state of an integration:
  // float32 [slot][rows][dim]. Rows of a Program may be narrower.
  std::int32_t max_context_rows = 0;
  std::int32_t dim = 0;
  // Conv histories: float32 [slot][branch][kernel - 1][width] each.
  struct Conv {
    std::int32_t kernel = 1;
    std::int32_t width = 0;
  };
  std::vector<Conv> convs;
  // Last rows of the inputs of ops with rates (ops/rate_ops.h), of the conditional branch: float32
  // [slot][rows][width] each. They are zeros where a segment begins at position 0.
  struct PastRows {
    std::int32_t rows = 0;
    std::int32_t width = 0;
  };
  std::vector<PastRows> past;
  // Rows that whole items keep: float32 [slot][branch][rows][width] each.
  struct RowArray {
    std::int32_t rows = 0;
    std::int32_t width = 0;
    bool has_branches = false;  // false: one for both
  };
  std::vector<RowArray> rows;
  // Of a row that each position of a cache block holds beside keys and values: float32
  // [block][kBlockSize][schedule_width].
  std::int32_t schedule_width = 0;
  // Or each slot keeps such rows, and blocks hold none: float32 [slot][schedule_rows][width].
  std::int32_t schedule_rows = 0;
  std::int32_t codebooks = 0;   // C*S last codes
  std::int32_t seen_vocab = 0;  // ids of each place that a repetition penalty counts; 0: none do
  // Ids that a slot remembers of those that it drew, for token rules; 0: slots take no such rules.
  std::int32_t max_drawn = 0;

  // Rows of schedules that a backend keeps.
  std::int64_t all_schedule_rows() const {
    return schedule_rows > 0 ? std::int64_t{slots} * schedule_rows
                             : std::int64_t{num_blocks} * step::kBlockSize;
  }
  // Of these, the one that the rows of a segment read; for rows that nobody keeps, any.
  std::int64_t read_schedule_row(const step::Segment& segment) const {
    if (schedule_rows == 0) return segment.schedule_row;
    const std::int64_t slot = segment.slot == step::kNoSlot ? 0 : segment.slot;
    return slot * schedule_rows + segment.schedule_row;
  }
  // And the one that a row of a segment at a position becomes.
  std::int64_t stored_schedule_row(const step::Segment& segment, std::int32_t position) const {
    if (schedule_rows > 0) return std::int64_t{segment.slot} * schedule_rows + position;
    const std::int64_t block = segment.blocks[position / step::kBlockSize];
    return block * step::kBlockSize + position % step::kBlockSize;
  }
};

using Ticket = std::uint64_t;  // of a flight

using step::blocks_for;
using step::kBlockSize;

// Returns the largest number of blocks that the table of one sequence holds.
inline std::int32_t most_blocks(const StateSpec& spec) {
  const auto asked = static_cast<std::int32_t>(blocks_for(spec.max_positions));
  return asked == 0 || asked > spec.num_blocks ? spec.num_blocks : asked;
}

// The limits on rows and draws of one launch of an Executable.
struct ProgramLimits {
  std::int32_t max_rows = 0;
  std::int32_t max_draws = 0;
  bool trace = false;
  bool profile = false;
  std::int32_t index = 0;         // its place in StepOutput::seconds, and its number in TapOutput
  std::int32_t max_segments = 0;  // 0: as many as rows

  // Blocks that hold the positions of all segments of a launch, each beginning a block.
  std::int64_t segment_blocks(std::int64_t positions) const {
    if (max_segments == 0) return max_rows;
    return (max_rows + positions - 1) / positions + max_segments;
  }
};

// Bytes that a state and compiled Programs take on a device.
struct MemoryUse {
  std::size_t kv_cache = 0;      // keys and values of self-attention
  std::size_t cross_memory = 0;  // keys and values of cross-attention
  std::size_t slots = 0;         // everything else a slot keeps
  std::size_t activations = 0;
  std::size_t scratch = 0;  // of Executables and threads
  std::size_t weights = 0;  // Backend::weight_bytes()

  std::size_t state() const { return kv_cache + cross_memory + slots; }
  std::size_t total() const { return state() + activations + scratch + weights; }
};

// A Program that would be compiled with these limits.
struct SizedProgram {
  const Program* program = nullptr;
  ProgramLimits limits;
};

// A compiled Program.
class Executable {
 public:
  virtual ~Executable() = default;
  // Makes what the launches of an executor need besides, so that none of them takes memory of the
  // device. Called once, when all Programs are compiled and before the first launch; nobody must
  // call it. Throws CapacityError if there is no memory for it.
  virtual void prepare() {}
  // Queues one run over `rows`, which must not change until the flight is collected. One launch of
  // a flight may have draws. It neither waits nor allocates.
  virtual void launch(const step::RowBatch& rows) = 0;
  // Returns the values of an activation, [rows of its space, width], after the last run. It may be
  // called only while no flight that runs this Executable is outstanding.
  virtual const float* activation(BufferId buffer) const = 0;
  virtual std::size_t activation_bytes() const = 0;
  // Returns the times of the stages if they are recorded (ProgramLimits::profile); `program` stays
  // empty. Any thread may call it, also during a launch.
  virtual std::vector<StageTimes> stage_times() const { return {}; }
};

struct BackendInfo {
  std::string device;               // "cpu"
  std::string description;          // "cpu: avx512_bf16, 2 threads"
  std::int32_t pipeline_depth = 1;  // limit on outstanding flights
  bool checks_drafts = false;       // it runs draws that verify drafts (step::Draw::ahead)
  bool takes_token_rules = false;   // slots may have step::TokenRules
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const BackendInfo& info() const = 0;

  // Called once by a thread that exists to launch and collect; the backend may bind it to a core or
  // a device. Threads of the application never call it.
  virtual void adopt_thread() {}

  // Allocates the state of the slots. Called once, before compile().
  virtual void create_state(const StateSpec& spec) = 0;
  virtual std::size_t state_bytes() const = 0;

  // What create_state(spec) and compile() of all these Programs take on a backend like this one.
  // Neither the state nor the activations are allocated for it.
  virtual MemoryUse memory_use(const StateSpec& spec,
                               const std::vector<SizedProgram>& programs) const = 0;

  // Backends know a weight by its address, so that Programs share it: until the last Program is
  // compiled, nothing else may be there.
  virtual std::unique_ptr<Executable> compile(const Program& program,
                                              const ProgramLimits& limits) = 0;
  // What the compiled Programs keep of weights as a copy of their own; those that were passed to
  // compile() are then no longer read. 0: they are read where they are, while Programs run.
  virtual std::size_t weight_bytes() const { return 0; }
  // The memory of the device that nobody has taken; nothing where the device is the host.
  virtual std::optional<std::size_t> free_bytes() const { return std::nullopt; }
  // What the compiled Programs and the threads that run them take beside activations.
  virtual std::size_t scratch_bytes() const { return 0; }

  // What prepare() of all Executables took of the device's memory, as measured: the number isn't in
  // memory_use(), and others that take or free memory there meanwhile change it.
  virtual std::size_t graph_bytes() const { return 0; }

  // These are queued in order with launches.
  virtual void reset_slot(const step::SlotReset& reset) = 0;  // resets the slot
  virtual void copy_blocks(const std::vector<step::BlockCopy>& copies) = 0;

  // Discards work that is queued and not submitted, because a launch that failed half-way must
  // leave nothing queued.
  virtual void discard() = 0;

  // Makes a flight of all work queued since the last submit, which may be none. Throws
  // InternalError if info().pipeline_depth flights are outstanding; the work then stays queued. It
  // neither waits nor allocates.
  virtual Ticket submit() = 0;

  // Waits for a flight and fills `output` with its outcome: its draws in order, its codes and
  // scores, the seconds of each Executable, and the taps under trace. Every flight is collected
  // once, in the order of submission. If a flight failed, its error is thrown; the flight is then
  // over, and the next one can be collected.
  virtual void collect(Ticket ticket, step::StepOutput& output) = 0;
};

}  // namespace ttsrt::ops
