// A Program compiled for the CPU: buffers at fixed addresses, and a fixed list of stages
// (compile.h) that the whole team runs.
//
// A launch neither allocates nor locks, because all sizes come from the limits.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/thread_team.h"
#include "cpu/compile.h"
#include "ops/check.h"

namespace ttsrt::cpu {

class Compiled {
 public:
  Compiled(const ops::Program& program, const ops::ProgramLimits& limits, const Kernels& kernels,
           Slots& slots, std::int32_t num_threads, bool has_weights = true);
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;

  // Throws InternalError for rows that exceed the limits or the state.
  void check(const step::RowBatch& rows) const;
  // Called by every thread of the team, with the same rows.
  void run(const step::RowBatch& rows, const Worker& worker, ThreadTeam& team);

  const ops::Program& program() const { return program_; }
  const ops::ProgramLimits& limits() const { return limits_; }
  const float* activation(ops::BufferId buffer) const;
  // Appends what the last run, over `rows`, found not finite.
  void append_faults(const step::RowBatch& rows, std::vector<step::Fault>& faults) const;
  // The rows that leave the Program, where it has run to its end over `rows`; else null.
  const float* emitted(const step::RowBatch& rows) const;
  std::int64_t emitted_width() const;
  std::size_t activation_bytes() const;
  std::size_t scratch_bytes() const;           // per thread
  std::size_t buffer_bytes() const;            // beside activations
  double seconds() const { return seconds_; }  // of the last run
  std::vector<StageTimes> stage_times() const;

 private:
  void prepare(const step::RowBatch& rows);
  void fill_schedule(const step::RowBatch& rows);
  Range stages_of(const step::RowBatch& rows) const;
  void run_stage(Stage& stage, const Worker& worker, ThreadTeam& team) const;
  void walk(const Stages& stages, const Range& range, const Worker& worker, ThreadTeam& team) const;

  ops::Program program_;
  ops::ProgramLimits limits_;
  ops::BatchNeeds needs_;
  Slots& slots_;
  Launch launch_;
  StageList list_;
  std::vector<SharedRange> ranges_;  // one per thread
  ProgramRows rows_;
  std::size_t activation_bytes_ = 0;
  ops::BufferId emitted_ = ops::kNoBuffer;
  std::vector<std::int64_t> part_stages_;  // [num_parts] first stage of each
  double seconds_ = 0.0;
};

}  // namespace ttsrt::cpu
