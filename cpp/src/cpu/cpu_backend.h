// The CPU backend: hand-written kernels per instruction set, one persistent team of threads.
//
// Decided: a flight runs in collect(), on the caller as thread 0 of the team, so the pipeline depth
// is 1: with the loop thread's core at work there is nothing a second flight could overlap. A row
// gives the same bits whatever the number of rows, its place among them and the number of threads;
// other instruction sets may differ in the last bits.
#pragma once

#include <memory>
#include <string>

#include "ops/backend.h"
#include "ops/machine.h"

namespace ttsrt {

struct CpuOptions {
  std::int32_t num_threads = 0;  // 0: one per core this process may use
  std::string isa;  // "generic", "avx2", ..., "neon", "neon_dot"; empty: TTSRT_CPU_ISA, else the
                    // best the machine has
  bool pin_threads = false;  // as in ExecutorOptions
};

// Throws ConfigError for an instruction set that is unknown or that the machine lacks.
std::unique_ptr<ops::Backend> make_cpu_backend(const CpuOptions& options = {});

// The same machine for measuring its peaks, with a team of its own.
std::unique_ptr<ops::Machine> make_cpu_machine(const CpuOptions& options = {});

}  // namespace ttsrt
