// The peaks of a device, which need its own instructions. They are measured apart from any Backend.
#pragma once

#include <cstdint>

#include "ttsrt/bench.h"

namespace ttsrt::ops {

class Machine {
 public:
  virtual ~Machine() = default;
  // Measures for about `seconds`.
  virtual MachinePeaks measure_peaks(double seconds) = 0;
  // Returns GB/s of reading `bytes` repeatedly, as ttsrt::measure_read; 0: more than all caches
  // hold.
  virtual double measure_read(std::int64_t bytes, double seconds) = 0;
  // Returns the seconds of a barrier of all threads, as ttsrt::measure_barrier.
  virtual double measure_barrier(double seconds) = 0;
};

}  // namespace ttsrt::ops
