#include "core/thread_team.h"

#ifdef __linux__
#include <sched.h>
#endif

#include <algorithm>
#include <system_error>

#include "core/check.h"

namespace ttsrt {
namespace {

// About 20 microseconds on Zen 4 and 5 and 40 on recent Intel cores, where one pause takes longer.
constexpr int kSpins = 1500;

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits until `value` is no longer `old`; returns what it is then.
std::uint32_t await_change(const std::atomic<std::uint32_t>& value, std::uint32_t old) {
  for (int i = 0; i < kSpins; ++i) {
    const std::uint32_t now = value.load(std::memory_order_acquire);
    if (now != old) return now;
    pause();
  }
  for (;;) {
    const std::uint32_t now = value.load(std::memory_order_acquire);
    if (now != old) return now;
    value.wait(old, std::memory_order_acquire);
  }
}

}  // namespace

std::int32_t usable_cores() {
#ifdef __linux__
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1, static_cast<std::int32_t>(std::thread::hardware_concurrency()));
}

ThreadTeam::ThreadTeam(std::int32_t num_threads)
    : num_threads_(num_threads > 0 ? num_threads : usable_cores()) {
  workers_.reserve(static_cast<std::size_t>(num_threads_ - 1));
  try {
    for (std::int32_t t = 1; t < num_threads_; ++t) {
      workers_.emplace_back([this, t] { work(t); });
    }
  } catch (const std::system_error& problem) {
    dismiss();
    throw CapacityError(message("num_threads: the system gave ", workers_.size() + 1, " of ",
                                num_threads_, " threads: ", problem.what()));
  }
}

ThreadTeam::~ThreadTeam() { dismiss(); }

void ThreadTeam::dismiss() {
  is_closing_.store(true, std::memory_order_relaxed);
  job_.fetch_add(1, std::memory_order_release);
  job_.notify_all();
  for (auto& worker : workers_) worker.join();
}

void ThreadTeam::work(std::int32_t thread) {
  for (std::uint32_t seen = 0;;) {
    await_change(job_, seen);
    ++seen;
    if (is_closing_.load(std::memory_order_relaxed)) return;
    take_part(thread);
  }
}

void ThreadTeam::run(Function function, void* context) {
  function_ = function;
  context_ = context;
  failing_.store(false, std::memory_order_relaxed);
  job_.fetch_add(1, std::memory_order_release);
  if (num_threads_ > 1) job_.notify_all();
  if (take_part(0)) return;
  std::exception_ptr error = std::move(error_);
  error_ = nullptr;
  std::rethrow_exception(error);
}

// The last arrival stands for the thread's end: a thread that failed makes it at once, which stops
// the others at the barrier they are about to pass; if they pass none any more, it is their own
// last one.
bool ThreadTeam::take_part(std::int32_t thread) {
  try {
    function_(context_, thread);
  } catch (const Stopped&) {
    return false;
  } catch (...) {
    if (!failing_.exchange(true, std::memory_order_acq_rel)) error_ = std::current_exception();
  }
  return arrive();
}

// The verdict travels in the round's own word: the next round can't end before every thread has
// read this one.
bool ThreadTeam::arrive() {
  const std::uint32_t round = round_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 < num_threads_)
    return (await_change(round_, round) & 1U) == 0;
  arrived_.store(0, std::memory_order_relaxed);
  const bool has_failed = failing_.load(std::memory_order_acquire);
  round_.store(((round | 1U) + 1U) | (has_failed ? 1U : 0U), std::memory_order_release);
  if (num_threads_ > 1) round_.notify_all();
  return !has_failed;
}

void ThreadTeam::barrier() {
  if (!arrive()) throw Stopped{};
}

}  // namespace ttsrt
