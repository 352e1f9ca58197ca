// Measures the peaks of the machine with one instruction set.
#pragma once

#include "core/thread_team.h"
#include "cpu/kernels/kernels.h"
#include "ttsrt/bench.h"

namespace ttsrt::cpu {

// Takes about `seconds`. The best of many short rounds counts, because other work on a shared
// machine slows some of them.
MachinePeaks measure_peaks(const Kernels& kernels, ThreadTeam& team, double seconds);

// Returns the GB/s of reading `bytes` repeatedly, each thread its own part; 0 bytes: more than all
// caches hold.
double measure_read(const Kernels& kernels, ThreadTeam& team, std::int64_t bytes, double seconds);

// Returns the seconds of a barrier of the team, the best of rounds.
double measure_barrier(ThreadTeam& team, double seconds);

}  // namespace ttsrt::cpu
