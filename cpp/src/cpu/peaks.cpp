#include "cpu/peaks.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <vector>

#include "cpu/aligned_buffer.h"

namespace ttsrt::cpu {
namespace {

using Clock = std::chrono::steady_clock;
using Chain = float (*)(const unsigned char* operands, std::int64_t steps);

constexpr std::int64_t kSteps = 1 << 16;  // of a round: 0.3 ms with wide instructions
constexpr double kForever = std::numeric_limits<double>::infinity();
constexpr std::int64_t kReadBytes = std::int64_t{256} << 20;          // of a round, at least
constexpr std::int64_t kReadBytesPerThread = std::int64_t{32} << 20;  // at least

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Rounds of one function by all threads.
struct Rounds {
  ThreadTeam* team = nullptr;
  Chain chain = nullptr;
  float (*read)(const float* data, std::int64_t count) = nullptr;
  const unsigned char* operands = nullptr;
  std::vector<AlignedBuffer> parts;  // of each thread, where memory is read
  std::vector<float> sink;           // of each thread
  std::vector<double> least;         // seconds of each thread's best round

  void run(std::int32_t thread) {
    const auto at = static_cast<std::size_t>(thread);
    const Clock::time_point begin = Clock::now();
    if (chain != nullptr) {
      sink[at] += chain(operands, kSteps);
    } else {
      const AlignedBuffer& part = parts[at];
      sink[at] += read(part.as<float>(), static_cast<std::int64_t>(part.bytes() / sizeof(float)));
    }
    least[at] = std::min(least[at], seconds_since(begin));
  }

  // Seconds of the best round of all threads.
  double repeat(double seconds) {
    least.assign(least.size(), kForever);
    double best = kForever;
    const Clock::time_point begin = Clock::now();
    do {
      const Clock::time_point round = Clock::now();
      team->run(
          [](void* rounds, std::int32_t thread) { static_cast<Rounds*>(rounds)->run(thread); },
          this);
      best = std::min(best, seconds_since(round));
    } while (seconds_since(begin) < seconds);
    return best;
  }
};

// Each thread maps and writes its part: untouched pages would all be one.
void map_parts(Rounds& rounds) {
  const std::int64_t threads = rounds.team->num_threads();
  const std::int64_t bytes = std::max(kReadBytes / threads / 4096 * 4096, kReadBytesPerThread);
  for (std::int64_t t = 0; t < threads; ++t)
    rounds.parts.emplace_back(static_cast<std::size_t>(bytes));
  rounds.team->run(
      [](void* context, std::int32_t thread) {
        const AlignedBuffer& part =
            static_cast<Rounds*>(context)->parts[static_cast<std::size_t>(thread)];
        std::fill_n(part.as<float>(), part.bytes() / sizeof(float), 1.0F);
      },
      &rounds);
}

}  // namespace

MachinePeaks measure_peaks(const Kernels& kernels, ThreadTeam& team, double seconds) {
  AlignedBuffer operands(16 * 64);
  std::fill_n(operands.as<float>(), 16 * 16, 1e-3F);
  Rounds rounds;
  rounds.team = &team;
  rounds.operands = operands.as<const unsigned char>();
  rounds.sink.resize(static_cast<std::size_t>(team.num_threads()));
  rounds.least.resize(rounds.sink.size());
  // 1e9 operations a second with `lanes` products a vector: the sum of each thread's best. Threads
  // share nothing here, and other programs' threads may keep them from ever running all at once.
  const auto rate = [&](Chain chain, double lanes) {
    rounds.chain = chain;
    rounds.repeat(seconds / 4);
    double sum = 0.0;
    for (const double least : rounds.least)
      sum += 2.0 * lanes * kernels.peaks.chains * static_cast<double>(kSteps) / least / 1e9;
    return sum;
  };
  MachinePeaks peaks;
  peaks.isa = kernels.name;
  peaks.num_threads = team.num_threads();
  peaks.float32_gflop_per_s = rate(kernels.peaks.float32, 16.0);
  peaks.bfloat16_gflop_per_s = rate(kernels.peaks.bfloat16, 32.0);
  peaks.int8_gop_per_s = rate(kernels.peaks.int8, 64.0);
  map_parts(rounds);
  rounds.chain = nullptr;
  rounds.read = kernels.peaks.read;
  const double bytes =
      static_cast<double>(rounds.parts[0].bytes()) * static_cast<double>(rounds.parts.size());
  peaks.read_gb_per_s = bytes / rounds.repeat(seconds / 4) / 1e9;
  return peaks;
}

}  // namespace ttsrt::cpu
