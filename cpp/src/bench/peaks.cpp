#include "backends.h"
#include "core/check.h"
#include "ttsrt/bench.h"

namespace ttsrt {

namespace {

constexpr std::int64_t kLeastBytes = 4096;
constexpr std::int64_t kMostBytes = std::int64_t{1} << 34;

void check_seconds(double seconds) {
  TTSRT_CHECK(ConfigError, seconds >= 0.001 && seconds <= 60.0,
              "seconds: expected 0.001 to 60, got ", seconds);
}

}  // namespace

MachinePeaks measure_peaks(const std::string& device, std::int32_t num_threads, double seconds) {
  check_seconds(seconds);
  return open_machine(device, num_threads)->measure_peaks(seconds);
}

double measure_read(const std::string& device, std::int32_t num_threads, std::int64_t bytes,
                    double seconds) {
  check_seconds(seconds);
  TTSRT_CHECK(ConfigError, bytes == 0 || (bytes >= kLeastBytes && bytes <= kMostBytes),
              "bytes: expected 0 or ", kLeastBytes, " to ", kMostBytes, ", got ", bytes);
  return open_machine(device, num_threads)->measure_read(bytes, seconds);
}

double measure_barrier(const std::string& device, std::int32_t num_threads, double seconds) {
  check_seconds(seconds);
  return open_machine(device, num_threads)->measure_barrier(seconds);
}

}  // namespace ttsrt
