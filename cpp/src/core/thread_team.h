// A fixed team of threads that walk one function together: N - 1 persistent workers and the caller.
//
// Decided: who waits spins for a bounded time, thirty microseconds, then sleeps on a futex,
// because a preempted thread must not make the others burn their cores (spinning without bound was
// measured 10 to 100 times slower on shared cores). The bound is a time and not a count: a pause
// takes 40 cycles on some processors and 140 on others. A warm run neither allocates nor locks.
// When a thread throws, every other thread leaves at its next barrier and run() rethrows the first
// error.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

namespace ttsrt {

// Cores this process may run on (its affinity mask where the system has one), at least 1.
std::int32_t usable_cores();

// A number that threads wait for: they spin, then sleep until it changes.
class alignas(64) WaitWord {
 public:
  std::uint32_t get() const { return value_.load(std::memory_order_acquire); }
  void set(std::uint32_t value);                  // wakes who sleeps
  std::uint32_t await_change(std::uint32_t old);  // returns what it is when it is no longer `old`

 private:
  std::atomic<std::uint32_t> value_{0};
  std::atomic<std::uint32_t> sleepers_{0};
};

class ThreadTeam {
 public:
  using Function = void (*)(void* context, std::int32_t thread);

  // `num_threads` counts the caller; 0: usable_cores(). Pinned, worker t stays on the t-th core
  // that the calling thread may use: a ConfigError where there are fewer cores, or off Linux.
  explicit ThreadTeam(std::int32_t num_threads, bool is_pinned = false);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  std::int32_t num_threads() const { return num_threads_; }

  // Keeps the calling thread on the first core from now on, where the team is pinned. For a thread
  // that exists to call run(), never for one of the application.
  void pin_caller() const;

  // Runs function(context, t) for t in [0, num_threads), the caller as thread 0; returns when all
  // have returned. Not reentrant.
  void run(Function function, void* context);

  // For threads inside run(): returns when all have come. Every thread must pass the same barriers.
  void barrier();

 private:
  struct Stopped {};  // thrown by barrier() in threads that outlive another's error

  void start_workers();
  void dismiss();  // ends the workers
  void work(std::int32_t thread);
  bool take_part(std::int32_t thread);  // false: some thread has failed
  bool arrive();                        // the same, as of this barrier

  std::int32_t num_threads_ = 1;
  std::vector<std::int32_t> cores_;  // of each thread, where pinned
  Function function_ = nullptr;
  void* context_ = nullptr;

  WaitWord job_;    // runs started
  WaitWord round_;  // barriers passed, times 2, plus 1 where a thread had failed by the last
  alignas(64) std::atomic<std::int32_t> arrived_{0};
  alignas(64) std::atomic<bool> failing_{false};
  std::atomic<bool> is_closing_{false};
  std::exception_ptr error_;  // of the thread that set failing_ first
  std::vector<std::thread> workers_;
};

}  // namespace ttsrt
