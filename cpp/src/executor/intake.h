// Where requests wait: the bounded queue between callers and the replicas' loops, and with it all
// that more than one of them touches (the executor's state, its statistics), behind one lock.
//
// A loop asks for the next request when it has room. It gets one only if the queue's order and the
// loads of all replicas make it the one that should run it; the others wait for theirs. So the
// first request never waits for a replica that is busier than another, and what doesn't fit
// anywhere yet holds back what is behind it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "executor/load.h"
#include "executor/sequence.h"
#include "executor/stats_book.h"

namespace ttsrt::executor {

class Intake {
 public:
  // What a failed device leaves behind.
  struct Loss {
    std::string of_running;  // why the requests that it ran have failed
    std::string of_waiting;
    std::deque<Pending> waiting;  // requests that no other replica can ever run
  };

  // A request that ends without having run.
  struct Ended {
    Pending pending;
    FinishReason reason;
  };

  Intake(std::int32_t max_queue_size, std::int32_t max_iterations);

  // Callers' side.

  // Throws CapacityError where the queue is full or the request could never fit, ClosedError, or
  // DeviceError once every device has failed.
  void submit(Pending pending);
  // Throws as submit would for any request: a full queue refuses before it looks at one.
  void check_accepts();
  // Throws ClosedError, naming the call, once close() was called.
  void check_open(const char* call) const;
  // With the requests that wait.
  ExecutorStats stats() const;
  // No request is taken from now on. Without `drain`, those that run and wait are cancelled.
  void close(bool drain);

  // The loops' side.

  // Before the first request: a replica, which is named by the number that is returned.
  std::int32_t add_replica(const std::string& device, const std::string& description,
                           const Load& idle, const BlockPool& pool);
  // Waits until there is something to do for the replica; false: its device has failed, or the
  // executor is closed and nothing is left. `is_busy`: requests run. `timeout`: requests of it wait
  // for something else, so that after so many seconds it goes on anyway.
  bool wait_for_work(std::int32_t replica, bool is_busy,
                     std::optional<double> timeout = std::nullopt);
  bool is_closing() const;
  // The next request that the replica should run: larger priority first, older first among equals.
  // Those that have ended are passed over. None where there is none for it.
  std::optional<Pending> take_next(std::int32_t replica, const Load& load);
  // Those that were cancelled or whose time is up while they waited; all of them, as cancelled,
  // once closing.
  std::vector<Ended> take_ended(Clock::time_point now);
  // The replica's device is gone. Those that wait are left to the other replicas.
  Loss fail_device(std::int32_t replica, const std::string& why);

  // Changes the statistics under the lock.
  template <typename Change>
  void count(Change change) {
    const std::lock_guard<std::mutex> lock(mutex_);
    change(stats_);
  }
  // The same, where the load of a replica has changed.
  template <typename Change>
  void count(std::int32_t replica, const Load& load, Change change) {
    const std::lock_guard<std::mutex> lock(mutex_);
    loads_[static_cast<std::size_t>(replica)] = load;
    change(stats_);
  }

 private:
  enum class State { running, draining, closing };

  struct Replica {
    std::string device;
    std::optional<std::string> failure;
    std::condition_variable changed;
    bool is_asleep = false;
  };

  // What a replica has to do for the queue.
  struct Task {
    enum class Kind { nothing, remove_ended, run };
    Kind kind = Kind::nothing;
    std::size_t index = 0;  // of the request that it should run
  };

  // The lock is held.
  void check_room();
  Task next_task(std::int32_t replica);
  bool must_wake(std::int32_t replica);
  void wake();
  std::string failures() const;
  bool is_failed() const;
  std::int32_t most_blocks() const;

  const std::int32_t max_queue_size_;
  mutable std::mutex mutex_;
  std::deque<Pending> waiting_;  // larger priority first, older first among equals
  State state_ = State::running;
  std::deque<Replica> replicas_;
  std::vector<Load> loads_;     // [replicas]
  std::vector<Load> foreseen_;  // of next_task()
  StatsBook stats_;
};

}  // namespace ttsrt::executor
