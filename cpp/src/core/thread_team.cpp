#include "core/thread_team.h"

#ifdef __linux__
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <chrono>
#include <climits>
#include <ctime>
#include <system_error>

#include "core/cgroup_quota.h"
#include "core/check.h"

namespace ttsrt {
namespace {

using Clock = std::chrono::steady_clock;

// How long a waiting thread spins. Two threads that the system runs on one core lose this time at
// every barrier: an empty barrier took 12 microseconds with a spin of 10, 22 with 20 and 79 with 50
// (Ice Lake, two cores shared with other work). If each thread has its own core, sleeping costs
// more: kernels took 93 % of a step of 8 requests with a spin of 10, 95 % with 30 and 96 % with 60.
// Yielding while waiting made a step four times slower, because another process then gets the core
// for a whole time slice.
constexpr std::chrono::microseconds kSpin{30};
constexpr int kLooks = 16;  // loads between two clock reads; they take under a microsecond

// Up to so many threads are one group of a barrier; more are about as many groups as each has
// threads.
constexpr std::int32_t kMostInOneGroup = 8;

// What waking up costs a thread that has a core of its own. It doesn't count as lost.
constexpr std::int64_t kWake = 100'000;  // nanoseconds

// The word of a run: how many threads take part, below the number of runs.
constexpr std::uint32_t kActiveBits = 12;
constexpr std::uint32_t kActiveMask = (1U << kActiveBits) - 1;

std::int64_t nanoseconds(Clock::duration time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
}

std::int64_t steady_nanoseconds() { return nanoseconds(Clock::now().time_since_epoch()); }

std::int64_t thread_nanoseconds([[maybe_unused]] std::int32_t thread) {
#ifdef CLOCK_THREAD_CPUTIME_ID
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
#else
  return steady_nanoseconds();
#endif
}

std::int32_t group_size_of(std::int32_t num_threads) {
  if (num_threads <= kMostInOneGroup) return num_threads;
  std::int32_t size = 1;
  while (size * size < num_threads) ++size;
  return size;
}

thread_local std::int32_t own_thread = 0;  // of the team that runs on this thread

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

#ifdef __linux__
// Sleeps until woken; may wake spuriously, and returns at once if `value` is not `old`.
void sleep_on(std::atomic<std::uint32_t>& value, std::uint32_t old) {
  static_assert(sizeof(value) == sizeof(std::uint32_t));
  syscall(SYS_futex, &value, FUTEX_WAIT_PRIVATE, old, nullptr, nullptr, 0);
}

void wake_all(std::atomic<std::uint32_t>& value) {
  syscall(SYS_futex, &value, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

// Returns what the system says, 0 for success.
int try_pin(pthread_t thread, std::int32_t core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(core), &set);
  return pthread_setaffinity_np(thread, sizeof(set), &set);
}

void pin(pthread_t thread, std::int32_t core) {
  const int problem = try_pin(thread, core);
  TTSRT_CHECK(CapacityError, problem == 0, "pin_threads: the system refused core ", core, ": ",
              std::generic_category().message(problem));
}
#else
void sleep_on(std::atomic<std::uint32_t>& value, std::uint32_t old) {
  value.wait(old, std::memory_order_acquire);
}

void wake_all(std::atomic<std::uint32_t>& value) { value.notify_all(); }
#endif

// Returns the core of each thread.
std::vector<std::int32_t> choose_cores(std::int32_t num_threads) {
#ifdef __linux__
  std::vector<std::int32_t> cores = allowed_cores();
  const auto threads = static_cast<std::size_t>(num_threads);
  TTSRT_CHECK(ConfigError, threads <= cores.size(), "num_threads: expected at most the ",
              cores.size(), " cores that this process may use, since pin_threads is on, got ",
              num_threads);
  cores.resize(threads);
  return cores;
#else
  throw ConfigError(message("pin_threads: expected off, since threads are pinned on Linux alone; ",
                            num_threads, " threads asked for"));
#endif
}

}  // namespace

std::vector<std::int32_t> allowed_cores() {
  std::vector<std::int32_t> cores;
#ifdef __linux__
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return cores;
  for (std::int32_t core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(static_cast<std::size_t>(core), &set)) cores.push_back(core);
  }
#endif
  return cores;
}

std::int32_t usable_cores() {
  const auto allowed = static_cast<std::int32_t>(allowed_cores().size());
  const auto present = static_cast<std::int32_t>(std::thread::hardware_concurrency());
  const std::int32_t cores = std::max(1, allowed > 0 ? allowed : present);
  return std::min(cores, quota_cores().value_or(cores));
}

// The stores and loads here and in await_change() are sequentially consistent, so either the
// sleeper sees the new value, or the setter sees the sleeper.
void WaitWord::set(std::uint32_t value) {
  value_.store(value, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) == 0) return;
  woken_.store(steady_nanoseconds(), std::memory_order_relaxed);
  wake_all(value_);
}

std::uint32_t WaitWord::await_change(std::uint32_t old, Waited& waited) {
  for (Clock::time_point begin;;) {
    for (int i = 0; i < kLooks; ++i) {
      const std::uint32_t now = get();
      if (now == old) {
        pause();
        continue;
      }
      if (begin != Clock::time_point()) waited.spun += nanoseconds(Clock::now() - begin);
      return now;
    }
    const Clock::time_point moment = Clock::now();
    if (begin == Clock::time_point()) begin = moment;
    if (moment < begin + kSpin) continue;
    waited.spun += nanoseconds(moment - begin);
    break;
  }
  const std::int64_t begin = steady_nanoseconds();
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  std::uint32_t now = old;
  while ((now = value_.load(std::memory_order_seq_cst)) == old) sleep_on(value_, old);
  sleepers_.fetch_sub(1, std::memory_order_relaxed);
  // A thread that saw the new value before it slept may read an older moment.
  const std::int64_t woken = woken_.load(std::memory_order_relaxed);
  waited.slept += (woken >= begin ? woken : steady_nanoseconds()) - begin;
  ++waited.sleeps;
  return now;
}

ThreadTeam::ThreadTeam(std::int32_t num_threads, const TeamOptions& options)
    : num_threads_(num_threads > 0 ? num_threads : usable_cores()),
      num_active_(num_threads_),
      may_shrink_(options.may_shrink && num_threads_ > 1),
      cpu_time_(options.cpu_time != nullptr ? options.cpu_time : thread_nanoseconds),
      group_size_(group_size_of(num_threads_)),
      groups_(static_cast<std::size_t>((num_threads_ + group_size_ - 1) / group_size_)),
      members_(static_cast<std::size_t>(num_threads_)),
      times_(members_.size()),
      size_(num_threads_, may_shrink_ ? quota_cores() : std::nullopt) {
  TTSRT_CHECK(ConfigError, num_threads_ <= static_cast<std::int32_t>(kActiveMask),
              "num_threads: expected at most ", kActiveMask, ", got ", num_threads_);
  if (options.is_pinned) cores_ = choose_cores(num_threads_);
  try {
    start_workers();
  } catch (...) {
    dismiss();
    throw;
  }
}

void ThreadTeam::start_workers() {
  workers_->reserve(static_cast<std::size_t>(num_threads_ - 1));
  for (std::int32_t t = 1; t < num_threads_; ++t) {
    try {
      workers_->emplace_back([this, t] { work(t); });
    } catch (const std::system_error& problem) {
      throw CapacityError(message("num_threads: the system gave ", workers_->size() + 1, " of ",
                                  num_threads_, " threads: ", problem.what()));
    }
#ifdef __linux__
    if (!cores_.empty()) pin(workers_->back().native_handle(), cores_[static_cast<std::size_t>(t)]);
#endif
  }
}

void ThreadTeam::pin_caller() {
#ifdef __linux__
  if (cores_.empty()) return;
  pin(pthread_self(), cores_.front());
  is_caller_pinned_ = true;
#endif
}

ThreadTeam::~ThreadTeam() { dismiss(); }

void ThreadTeam::dismiss() {
  if (!workers_.get_deleter().home.is_here()) return;
  is_closing_.store(true, std::memory_order_relaxed);
  call(num_threads_);
  for (auto& worker : *workers_) worker.join();
}

// Threads that rest wait for rest_, so that runs without them don't wake them.
void ThreadTeam::call(std::int32_t num_active) {
  const std::uint32_t last = job_.get();
  const auto before = static_cast<std::int32_t>(last & kActiveMask);
  job_.set((((last >> kActiveBits) + 1) << kActiveBits) | static_cast<std::uint32_t>(num_active));
  if (num_active > before) rest_.set(rest_.get() + 1);
}

// rest_ is read before job_: if threads that rest are called in between, rest_ has changed, and
// waiting for that ends at once.
void ThreadTeam::work(std::int32_t thread) {
  Waited unused;
  for (std::uint32_t seen = 0;;) {
    const std::uint32_t rest = rest_.get();
    const std::uint32_t job = job_.get();
    const bool takes_part = thread < static_cast<std::int32_t>(job & kActiveMask);
    if (job == seen) {
      const bool rests = seen != 0 && !takes_part;
      rests ? rest_.await_change(rest, unused) : job_.await_change(seen, unused);
      continue;
    }
    seen = job;
    if (is_closing_.load(std::memory_order_relaxed)) return;
    if (takes_part) run_thread(thread);
  }
}

void ThreadTeam::run(Function function, void* context) {
  function_ = function;
  context_ = context;
  failing_.store(false, std::memory_order_relaxed);
  if (may_shrink_) begin_ = steady_nanoseconds();
  call(num_active_);
  if (run_thread(0)) {
    if (may_shrink_) adapt();
    return;
  }
  std::exception_ptr error = std::move(error_);
  error_ = nullptr;
  std::rethrow_exception(error);
}

// Every thread ends a run with one more arrival. A thread that failed arrives at once, which stops
// the others at their next barrier, or at this final arrival if there is no other barrier.
bool ThreadTeam::run_thread(std::int32_t thread) {
  own_thread = thread;
  try {
    run_function(thread);
  } catch (const Stopped&) {
    return false;
  } catch (...) {
    if (!failing_.exchange(true, std::memory_order_acq_rel)) error_ = std::current_exception();
  }
  return arrive();
}

// What a thread lost counts from the call on: it may have come late.
void ThreadTeam::run_function(std::int32_t thread) {
  if (!may_shrink_) return function_(context_, thread);
  Member& own = members_[static_cast<std::size_t>(thread)];
  own.waited = {};
  const std::int64_t begin = cpu_time_(thread);
  function_(context_, thread);
  const std::int64_t ran = cpu_time_(thread) - begin;
  const std::int64_t spent = steady_nanoseconds() - begin_;
  const Waited& waited = own.waited;
  const std::int64_t lost =
      std::max<std::int64_t>(spent - ran - waited.slept - (waited.sleeps + 1) * kWake, 0);
  own.time = {1e-9 * static_cast<double>(spent - lost - waited.slept - waited.spun),
              1e-9 * static_cast<double>(lost)};
}

void ThreadTeam::adapt() {
  for (std::size_t t = 0; t < static_cast<std::size_t>(num_active_); ++t)
    times_[t] = members_[t].time;
  const double seconds = 1e-9 * static_cast<double>(steady_nanoseconds() - begin_);
  if (!size_.add(seconds, times_)) return;
  num_active_ = size_.size();
  if (cores_.empty()) return;
  for (const auto& [one, other] : size_.exchanges()) exchange_cores(one, other);
}

// Where the system refuses, both stay where they are.
void ThreadTeam::exchange_cores([[maybe_unused]] std::int32_t one,
                                [[maybe_unused]] std::int32_t other) {
#ifdef __linux__
  const auto handle = [this](std::int32_t thread) {
    return thread == 0 ? pthread_self()
                       : (*workers_)[static_cast<std::size_t>(thread) - 1].native_handle();
  };
  std::swap(cores_[static_cast<std::size_t>(one)], cores_[static_cast<std::size_t>(other)]);
  for (const std::int32_t thread : {one, other}) {
    if (thread > 0 || is_caller_pinned_)
      try_pin(handle(thread), cores_[static_cast<std::size_t>(thread)]);
  }
#endif
}

bool ThreadTeam::is_last(Arrivals& arrivals, std::int32_t all) {
  if (arrivals.count.fetch_add(1, std::memory_order_acq_rel) + 1 < all) return false;
  arrivals.count.store(0, std::memory_order_relaxed);
  return true;
}

// The lowest bit of the round word says whether a thread has failed. The next round cannot end
// before every thread has read this word.
bool ThreadTeam::arrive() {
  const std::uint32_t round = round_.get();
  const std::int32_t group = own_thread / group_size_;
  const std::int32_t size = std::min(group_size_, num_active_ - group * group_size_);
  const std::int32_t num_groups = (num_active_ + group_size_ - 1) / group_size_;
  const bool ends_round =
      is_last(groups_[static_cast<std::size_t>(group)], size) && is_last(arrived_, num_groups);
  if (!ends_round) {
    Waited& waited = members_[static_cast<std::size_t>(own_thread)].waited;
    return (round_.await_change(round, waited) & 1U) == 0;
  }
  const bool has_failed = failing_.load(std::memory_order_acquire);
  round_.set(((round | 1U) + 1U) | (has_failed ? 1U : 0U));
  return !has_failed;
}

void ThreadTeam::barrier() {
  // Stopped is not a std::exception, so that a function that catches those does not catch it.
  if (!arrive()) throw Stopped{};  // NOLINT(bugprone-std-exception-baseclass)
}

}  // namespace ttsrt
