// What the machine reaches at best with one instruction set.
#pragma once

#include "core/thread_team.h"
#include "cpu/kernels.h"
#include "ttsrt/bench.h"

namespace ttsrt::cpu {

// Takes about `seconds`. The best of many short rounds counts: a shared machine slows some of them.
MachinePeaks measure_peaks(const Kernels& kernels, ThreadTeam& team, double seconds);

}  // namespace ttsrt::cpu
