// A fixed team of threads that run one function together: N - 1 persistent workers and the caller.
//
// A waiting thread spins for at most thirty microseconds and then sleeps on a futex, so that the
// others do not occupy their cores while one thread is preempted (unbounded spinning was measured
// to be 10 to 100 times slower on shared cores). The bound is a time and not a count, because a
// pause instruction takes 40 cycles on some processors and 140 on others. A warm run neither
// allocates nor locks. When a thread throws, every other thread leaves at its next barrier, and
// run() rethrows the first error. In a forked child a team has no workers: its destructor leaves
// them alone, and run() must not be called.
//
// A team may shrink (TeamOptions): where the system does not run some of its threads, so that the
// others would wait for them at every barrier, fewer take part in the next runs. What a thread lost
// in a run is the time from its start in which the thread neither ran, by the system's clock of its
// CPU time, nor slept until the others had arrived. A time slice that goes to another process
// is lost, and so is the time for which a quota stops the process; what a hypervisor takes away is
// lost where the system counts it as such.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <thread>
#include <vector>

#include "core/process.h"
#include "core/team_size.h"
#include "ttsrt/device.h"

namespace ttsrt {

// Returns the cores that the calling thread may use; none where the system does not tell.
std::vector<std::int32_t> allowed_cores();

// How long a thread waited, in nanoseconds: until it was to be woken, where it slept.
struct Waited {
  std::int64_t spun = 0;
  std::int64_t slept = 0;
  std::int32_t sleeps = 0;
};

// A number on whose changes threads wait: they spin, then sleep.
class alignas(64) WaitWord {
 public:
  std::uint32_t get() const { return value_.load(std::memory_order_acquire); }
  void set(std::uint32_t value);  // wakes all sleepers
  // Waits until it is not `old`; returns it, and adds to `waited`. Less than a microsecond is not
  // counted.
  std::uint32_t await_change(std::uint32_t old, Waited& waited);

 private:
  std::atomic<std::uint32_t> value_{0};
  std::atomic<std::uint32_t> sleepers_{0};
  std::atomic<std::int64_t> woken_{0};  // when sleepers were last woken, in steady nanoseconds
};

struct TeamOptions {
  // Worker t stays on the t-th core that the calling thread may use. A team that shrinks lets
  // threads exchange cores.
  bool is_pinned = false;
  bool may_shrink = false;
  // Nanoseconds that the calling thread has run, which is the thread of this number; for tests.
  // Null: the system's.
  std::int64_t (*cpu_time)(std::int32_t thread) = nullptr;
};

class ThreadTeam {
 public:
  using Function = void (*)(void* context, std::int32_t thread);

  // `num_threads` includes the caller; 0: usable_cores(). If pinned, throws ConfigError if there
  // are fewer cores, or not on Linux.
  explicit ThreadTeam(std::int32_t num_threads, const TeamOptions& options = {});
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  std::int32_t num_threads() const { return num_threads_; }
  // Threads that take part in the run that goes on, and otherwise in the next one.
  std::int32_t num_active() const { return num_active_; }
  bool is_pinned() const { return !cores_.empty(); }

  // If the team is pinned, binds the calling thread to the first core. It is for a thread that
  // exists to call run(), never for a thread of the application.
  void pin_caller();

  // Runs function(context, t) for t in [0, num_active), with the caller as thread 0; returns when
  // all threads have returned. Not reentrant.
  void run(Function function, void* context);

  // Called by threads inside run(); returns when all have called it. Every thread must pass the
  // same barriers.
  void barrier();

 private:
  struct Stopped {};  // thrown by barrier() if another thread has failed

  // What a thread knows of its time in a run.
  struct alignas(64) Member {
    Waited waited;
    MemberTime time;
  };

  void start_workers();
  void dismiss();                      // ends the workers
  void call(std::int32_t num_active);  // wakes the workers that take part in a run
  void work(std::int32_t thread);
  bool run_thread(std::int32_t thread);  // false: a thread has failed
  void run_function(std::int32_t thread);
  bool arrive();  // false: a thread failed before this barrier
  void adapt();   // books the run, and chooses who takes part in the next one
  void exchange_cores(std::int32_t one, std::int32_t other);

  std::int32_t num_threads_ = 1;
  std::int32_t num_active_ = 1;
  const bool may_shrink_;
  std::int64_t (*const cpu_time_)(std::int32_t thread);
  std::vector<std::int32_t> cores_;  // the core of each thread, if pinned
  Function function_ = nullptr;
  void* context_ = nullptr;

  // Threads that have arrived at a barrier, or groups of threads. Many threads count their arrivals
  // in groups, so that they do not all wait for one cache line.
  struct alignas(64) Arrivals {
    std::atomic<std::int32_t> count{0};
  };
  // Whether this is the last of `all` arrivals.
  static bool is_last(Arrivals& arrivals, std::int32_t all);

  WaitWord job_;    // number of runs started, and how many threads take part in the last one
  WaitWord rest_;   // changes when threads that rested take part again, after job_
  WaitWord round_;  // 2 x barriers passed, plus 1 if a thread had failed by the last one
  std::int32_t group_size_ = 1;
  std::vector<Arrivals> groups_;  // each of group_size_ threads; the last may have fewer
  Arrivals arrived_;              // groups
  alignas(64) std::atomic<bool> failing_{false};
  std::atomic<bool> is_closing_{false};
  std::exception_ptr error_;  // of the thread that set failing_ first
  std::int64_t begin_ = 0;    // of the run, in steady nanoseconds
  std::vector<Member> members_;
  std::vector<MemberTime> times_;  // [threads] of the last run
  TeamSize size_;
  bool is_caller_pinned_ = false;
  std::unique_ptr<std::vector<std::thread>, DeleteAtHome> workers_{new std::vector<std::thread>};
};

}  // namespace ttsrt
