#include "cpu/peaks.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <vector>

#include "cpu/aligned_buffer.h"
#include "cpu/cpu_backend.h"
#include "cpu/isa.h"
#include "cpu/kernels/tile_kernels.h"

namespace ttsrt::cpu {
namespace {

using Clock = std::chrono::steady_clock;
using Chain = float (*)(const unsigned char* operands, std::int64_t steps);

constexpr std::int64_t kSteps = 1 << 16;  // per round: 0.3 ms with wide instructions
constexpr double kForever = std::numeric_limits<double>::infinity();
constexpr std::int64_t kCachedBytes = std::int64_t{16}
                                      << 20;  // more than the private caches of a core
// Much more than all caches, so that a sequential read finds only a small share in them.
constexpr std::int64_t kMemoryBytes = std::int64_t{512} << 20;
constexpr std::int64_t kMemoryBytesPerThread = std::int64_t{32} << 20;
constexpr std::int64_t kRoundBytes = std::int64_t{128}
                                     << 20;  // so that the start of a round does not matter
constexpr std::int64_t kReadStep = 256;      // parts are multiples of this many bytes

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Runs rounds of one function on all threads.
struct Rounds {
  ThreadTeam* team = nullptr;
  Chain chain = nullptr;
  float (*read)(const float* data, std::int64_t count) = nullptr;
  const unsigned char* operands = nullptr;
  std::vector<AlignedBuffer> parts;  // one per thread, if memory is read
  std::int64_t passes = 1;           // over a part, per round
  std::vector<float> sink;           // one per thread
  std::vector<double> least;         // seconds of each thread's best round

  Rounds(ThreadTeam& all, const unsigned char* table)
      : team(&all),
        operands(table),
        sink(static_cast<std::size_t>(all.num_threads())),
        least(sink.size()) {}

  void run(std::int32_t thread) {
    const auto at = static_cast<std::size_t>(thread);
    const Clock::time_point begin = Clock::now();
    if (chain != nullptr) {
      sink[at] += chain(operands, kSteps);
    } else {
      const AlignedBuffer& part = parts[at];
      for (std::int64_t pass = 0; pass < passes; ++pass)
        sink[at] += read(part.as<float>(), static_cast<std::int64_t>(part.bytes() / sizeof(float)));
    }
    least[at] = std::min(least[at], seconds_since(begin));
  }

  // Runs rounds for about `seconds`; returns the seconds of the best round of all threads.
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

// Every thread writes its part, because untouched pages all map to one zero page. Large pages, if
// the system provides them, keep page table walks out of the measurement.
void map_parts(Rounds& rounds, std::int64_t bytes) {
  for (std::int32_t t = 0; t < rounds.team->num_threads(); ++t) {
    const AlignedBuffer& part = rounds.parts.emplace_back(static_cast<std::size_t>(bytes));
#ifdef MADV_HUGEPAGE
    madvise(part.data(), part.bytes(), MADV_HUGEPAGE);
#endif
  }
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
  Rounds rounds(team, operands.as<const unsigned char>());
  // Returns 1e9 operations per second with `products` in each step: the sum of each thread's best
  // round. Threads share nothing here, and other programs may keep them from all running at once.
  const auto rate = [&](Chain chain, double products) {
    rounds.chain = chain;
    rounds.repeat(seconds / 5);
    double sum = 0.0;
    for (const double least : rounds.least)
      sum += 2.0 * products * static_cast<double>(kSteps) / least / 1e9;
    return sum;
  };
  const PeakKernels& vectors = kernels.peaks;
  const TileKernels* tiles = kernels.tiles;
  constexpr double kTilePairs = 16 * 16 * 32;  // products of one instruction
  MachinePeaks peaks;
  peaks.isa = kernels.name;
  peaks.num_threads = team.num_threads();
  peaks.float32_gflop_per_s = rate(vectors.float32, 16.0 * vectors.chains);
  peaks.bfloat16_gflop_per_s = tiles != nullptr
                                   ? rate(tiles->peaks.bfloat16, kTilePairs * tiles->peaks.chains)
                                   : rate(vectors.bfloat16, 32.0 * vectors.chains);
  peaks.int8_gop_per_s = tiles != nullptr
                             ? rate(tiles->peaks.int8, 2 * kTilePairs * tiles->peaks.chains)
                             : rate(vectors.int8, 64.0 * vectors.chains);
  peaks.read_gb_per_s = measure_read(kernels, team, 0, seconds / 5);
  peaks.cached_gb_per_s = measure_read(kernels, team, kCachedBytes, seconds / 5);
  return peaks;
}

double measure_read(const Kernels& kernels, ThreadTeam& team, std::int64_t bytes, double seconds) {
  const std::int64_t threads = team.num_threads();
  if (bytes == 0) bytes = std::max(kMemoryBytes, kMemoryBytesPerThread * threads);
  Rounds rounds(team, nullptr);
  rounds.read = kernels.peaks.read;
  map_parts(rounds, std::max(bytes / threads / kReadStep, std::int64_t{1}) * kReadStep);
  const auto all = static_cast<std::int64_t>(rounds.parts[0].bytes()) * threads;
  rounds.passes = std::max(kRoundBytes / all, std::int64_t{1});
  return static_cast<double>(all * rounds.passes) / rounds.repeat(seconds) / 1e9;
}

double measure_barrier(ThreadTeam& team, double seconds) {
  constexpr int kBarriers = 256;
  double best = kForever;
  const Clock::time_point begin = Clock::now();
  do {
    const Clock::time_point round = Clock::now();
    team.run(
        [](void* context, std::int32_t) {
          for (int i = 0; i < kBarriers; ++i) static_cast<ThreadTeam*>(context)->barrier();
        },
        &team);
    best = std::min(best, seconds_since(round));
  } while (seconds_since(begin) < seconds);
  return best / kBarriers;
}

namespace {

class CpuMachine : public ops::Machine {
 public:
  explicit CpuMachine(const CpuOptions& options)
      : kernels_(options.kernels != nullptr ? *options.kernels : choose_kernels(options.isa)),
        team_(options.num_threads, TeamOptions{options.pin_threads, false, nullptr}) {}

  MachinePeaks measure_peaks(double seconds) override {
    return cpu::measure_peaks(kernels_, team_, seconds);
  }
  double measure_read(std::int64_t bytes, double seconds) override {
    return cpu::measure_read(kernels_, team_, bytes, seconds);
  }
  double measure_barrier(double seconds) override { return cpu::measure_barrier(team_, seconds); }

 private:
  const Kernels& kernels_;
  ThreadTeam team_;
};

}  // namespace
}  // namespace ttsrt::cpu

namespace ttsrt {

std::unique_ptr<ops::Machine> make_cpu_machine(const CpuOptions& options) {
  return std::make_unique<cpu::CpuMachine>(options);
}

}  // namespace ttsrt
