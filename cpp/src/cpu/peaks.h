// What the machine reaches at best with one instruction set.
#pragma once

#include "core/thread_team.h"
#include "cpu/kernels/kernels.h"
#include "ttsrt/bench.h"

namespace ttsrt::cpu {

// Takes about `seconds`. The best of many short rounds counts: a shared machine slows some of them.
MachinePeaks measure_peaks(const Kernels& kernels, ThreadTeam& team, double seconds);

// GB/s of reading `bytes` again and again, a part of each thread's own; 0: beyond all caches.
double measure_read(const Kernels& kernels, ThreadTeam& team, std::int64_t bytes, double seconds);

}  // namespace ttsrt::cpu
