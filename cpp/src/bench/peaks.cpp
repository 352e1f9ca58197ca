#include "backends.h"
#include "core/check.h"
#include "ttsrt/bench.h"

namespace ttsrt {

MachinePeaks measure_peaks(const std::string& device, std::int32_t num_threads, double seconds) {
  TTSRT_CHECK(ConfigError, seconds >= 0.001 && seconds <= 60.0,
              "seconds: expected 0.001 to 60, got ", seconds);
  return open_backend(device, num_threads)->measure_peaks(seconds);
}

}  // namespace ttsrt
