// Times of one stage, recorded by the threads that run it and read by any thread.
//
// Every thread writes only its own entry, so relaxed loads and stores of atomics suffice: a reader
// gets each number intact, and all numbers approximately of the same moment.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

namespace ttsrt::cpu {

class StageClock {
 public:
  // Starts recording.
  void start(std::int32_t num_threads) {
    threads_ = std::vector<Thread>(static_cast<std::size_t>(num_threads));
  }
  bool is_kept() const { return !threads_.empty(); }

  // Called by each thread after a run, with its working time and the time until all threads had
  // finished.
  void add(std::int32_t thread, double busy_seconds, double seconds) {
    Thread& at = threads_[static_cast<std::size_t>(thread)];
    grow(at.busy_seconds, busy_seconds);
    grow(at.seconds, seconds);
    grow(at.runs, std::uint64_t{1});
  }

  std::uint64_t runs() const { return threads_[0].runs.load(std::memory_order_relaxed); }
  // These are means over threads. A thread counts with the runs that it took part in.
  double seconds() const { return mean(&Thread::seconds); }
  double busy_seconds() const { return mean(&Thread::busy_seconds); }

 private:
  struct alignas(64) Thread {
    std::atomic<double> busy_seconds{0.0};
    std::atomic<double> seconds{0.0};
    std::atomic<std::uint64_t> runs{0};
  };

  double mean(std::atomic<double> Thread::* of) const {
    double sum = 0.0;
    double all_runs = 0.0;
    for (const Thread& at : threads_) {
      sum += (at.*of).load(std::memory_order_relaxed);
      all_runs += static_cast<double>(at.runs.load(std::memory_order_relaxed));
    }
    return all_runs > 0.0 ? sum * static_cast<double>(runs()) / all_runs : 0.0;
  }

  template <typename Number>
  static void grow(std::atomic<Number>& sum, Number by) {
    sum.store(sum.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }

  std::vector<Thread> threads_;
};

}  // namespace ttsrt::cpu
