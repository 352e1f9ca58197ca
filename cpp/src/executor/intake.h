// Where requests wait: the bounded queue between callers and the loop, and with it all that both
// sides touch (the executor's state, its statistics), behind one lock.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "executor/sequence.h"
#include "executor/stats_book.h"

namespace ttsrt::executor {

class Intake {
 public:
  Intake(std::int32_t max_queue_size, StatsBook stats);

  // Callers' side.

  // Throws CapacityError where the queue is full, ClosedError, or DeviceError once the device has
  // failed.
  void submit(Pending pending);
  // Throws as submit would for any request: a full queue refuses before it looks at one.
  void check_accepts();
  // Throws ClosedError, naming the call, once close() was called.
  void check_open(const char* call) const;
  // With the requests that wait.
  ExecutorStats stats() const;
  // No request is taken from now on. Without `drain`, those that run and wait are cancelled.
  void close(bool drain);

  // The loop's side.

  // Waits until there is something to do; false: closed, and nothing is left. `is_busy`: requests
  // run.
  bool wait_for_work(bool is_busy);
  bool is_closing() const;
  // The request that is next: larger priority first, older first among equals. None where none
  // waits, where the next one has already ended, or where `fits` says no.
  std::optional<Pending> take_next(const std::function<bool(const PreparedRequest&)>& fits);
  // Those that were cancelled or whose time is up while they waited; all of them once closing.
  std::vector<Pending> take_ended(Clock::time_point now);
  // The device is gone: what waits, and no more is accepted.
  std::deque<Pending> fail_device(const std::string& why);

  // Changes the statistics under the lock.
  template <typename Change>
  void count(Change change) {
    const std::lock_guard<std::mutex> lock(mutex_);
    change(stats_);
  }

 private:
  enum class State { running, draining, closing };

  void check_room();

  const std::int32_t max_queue_size_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Pending> waiting_;
  State state_ = State::running;
  std::string device_failure_;  // empty: the device works
  StatsBook stats_;
};

}  // namespace ttsrt::executor
