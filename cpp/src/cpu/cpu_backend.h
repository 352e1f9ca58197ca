// The CPU backend: hand-written kernels per instruction set, and one persistent team of threads,
// which backends that run in turn on one thread may share.
//
// A flight runs in collect(), with the caller as thread 0 of the team, so the pipeline depth is 1:
// the loop thread's core computes too, so a second flight could not overlap with anything. A row
// gives the same bits for any number of rows, place among them and number of threads, so the team
// may shrink from flight to flight; other instruction sets may differ in the last bits.
#pragma once

#include <memory>
#include <string>

#include "core/thread_team.h"
#include "ops/backend.h"
#include "ops/machine.h"

namespace ttsrt {

namespace cpu {
struct Kernels;
}

struct CpuOptions {
  std::int32_t num_threads = 0;  // 0: one per core this process may use
  std::string isa;  // "generic", "avx2", ..., "neon", "neon_dot"; empty: TTSRT_CPU_ISA, else the
                    // best the machine has
  bool pin_threads = false;  // as in ExecutorOptions
  // Instead of `num_threads` and `pin_threads`: the team of other backends, whose collect() the
  // same thread calls. Null: a team of its own.
  std::shared_ptr<ThreadTeam> team = nullptr;
  const cpu::Kernels* kernels = nullptr;  // in place of those of `isa`, for tests
};

// Throws ConfigError for an instruction set that is unknown or not supported by the machine.
std::unique_ptr<ops::Backend> make_cpu_backend(const CpuOptions& options = {});

// Returns the same machine for measuring its peaks, with a separate team.
std::unique_ptr<ops::Machine> make_cpu_machine(const CpuOptions& options = {});

}  // namespace ttsrt
