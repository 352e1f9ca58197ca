// The loop: schedule, run, commit; on a thread of its own, which alone touches the network, the
// cache books and the sequences.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "executor/kv_cache.h"
#include "executor/scheduler.h"
#include "executor/sequence.h"
#include "executor/stats_book.h"
#include "model/network.h"
#include "step/plan.h"
#include "ttsrt/executor.h"

namespace ttsrt::executor {

// What of ExecutorOptions is the loop's.
struct LoopOptions {
  std::int32_t max_queue_size = 256;
  double prefill_slice_seconds = 0.0;  // 0: no limit
  std::int32_t iter_stats_max_iterations = 0;
  bool trace = false;
};

class Loop {
 public:
  Loop(std::unique_ptr<model::Network> network, const LoopOptions& options);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  const model::NetworkInfo& network() const { return network_->info(); }
  // Throws CapacityError, ClosedError, or DeviceError once the device has failed.
  void submit(Pending pending);
  // Throws as submit would for any request: a full queue refuses before it looks at one.
  void check_accepts();
  // Throws ClosedError, naming the call, once close() was called.
  void check_open(const char* call) const;
  ExecutorStats stats() const;
  void close(bool drain);

 private:
  void check_room();

  // How the loop stands with its callers.
  enum class State { running, draining, closing };

  void run();
  bool wait_for_work();  // false: closed and empty
  void take_in();
  void admit(Pending&& pending);
  void refuse(Channel& channel, const std::string& why);
  std::int32_t worst_case(const PreparedRequest& request) const;
  bool reserves(const PreparedRequest& request);
  void drop_ended();
  void step();
  void adopt();
  void plan();
  void keep_paused();
  void learn_row_seconds(const step::StepOutput& output);
  void close_ranks();
  void fail_planned(const std::string& why);
  void fail_running(const std::string& why);
  void fail_all(const std::string& why);
  void end(std::unique_ptr<Sequence>& sequence, FinishReason reason, const std::string& why);
  void count_ended(std::uint64_t id, FinishReason reason);
  std::int32_t num_active() const;
  void reject(Pending& pending, FinishReason reason, const std::string& why);
  void publish(std::int64_t frames, double seconds);

  std::unique_ptr<model::Network> network_;
  const LoopOptions options_;

  // The loop thread's own.
  BlockPool pool_;
  PrefixCache prefixes_;
  std::vector<std::unique_ptr<Sequence>> running_;  // oldest first
  std::vector<std::int32_t> free_slots_;
  step::StepPlan plan_;
  step::StepBatch batch_;
  std::vector<SequenceView> views_;
  PausedBatches paused_;
  std::vector<std::int32_t> places_;  // close_ranks()
  StepBudget budget_;
  bool is_adopted_ = false;  // by the network, as the thread that launches

  // Shared with callers.
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Pending> waiting_;
  State state_ = State::running;
  std::string device_failure_;  // empty: the device works
  StatsBook stats_;

  std::mutex close_mutex_;
  std::thread thread_;
};

}  // namespace ttsrt::executor
