// A fixed team of threads that walk one function together: N - 1 persistent workers and the caller.
//
// Decided: barriers spin for some tens of microseconds, then sleep on a futex, because a preempted
// thread must not make the others burn their cores (spinning without bound was measured 10 to 100
// times slower on shared cores). A warm run neither allocates nor locks. When a thread throws,
// every other thread leaves at its next barrier and run() rethrows the first error.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

namespace ttsrt {

// Cores this process may run on (its affinity mask where the system has one), at least 1.
std::int32_t usable_cores();

class ThreadTeam {
 public:
  using Function = void (*)(void* context, std::int32_t thread);

  // `num_threads` counts the caller; 0: usable_cores().
  explicit ThreadTeam(std::int32_t num_threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  std::int32_t num_threads() const { return num_threads_; }

  // Runs function(context, t) for t in [0, num_threads), the caller as thread 0; returns when all
  // have returned. Not reentrant.
  void run(Function function, void* context);

  // For threads inside run(): returns when all have come. Every thread must pass the same barriers.
  void barrier();

 private:
  struct Stopped {};  // thrown by barrier() in threads that outlive another's error

  void dismiss();  // ends the workers
  void work(std::int32_t thread);
  bool take_part(std::int32_t thread);  // false: some thread has failed
  bool arrive();                        // the same, as of this barrier

  std::int32_t num_threads_ = 1;
  Function function_ = nullptr;
  void* context_ = nullptr;

  alignas(64) std::atomic<std::uint32_t> job_{0};
  alignas(64) std::atomic<std::int32_t> arrived_{0};
  alignas(64) std::atomic<std::uint32_t> round_{
      0};  // barriers passed, times 2, plus 1 where a thread had failed by the last
  alignas(64) std::atomic<bool> failing_{false};
  std::atomic<bool> is_closing_{false};
  std::exception_ptr error_;  // of the thread that set failing_ first
  std::vector<std::thread> workers_;
};

}  // namespace ttsrt
