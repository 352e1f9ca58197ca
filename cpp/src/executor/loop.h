// The loop of a replica: plan, launch, collect, commit; on a thread of its own, which alone touches
// the network, the cache books and the running requests.
//
// It keeps as many launches in flight as the network takes (NetworkInfo::pipeline_depth). A launch
// is planned from what is launched before it, not from what came back; what came back is committed
// in order. A request that ends while launches still name it keeps its slot and its blocks until
// the last of them is collected, and what those made for it is dropped.
//
// A request of a larger priority that finds no place may pause one that runs (executor/ranking.h).
// A paused request keeps its slot, its blocks and its state on the device; it is only left out of
// the plans until it resumes, so nothing is copied and its result does not change. What is in
// flight for it, and a batch between two parts that it belongs to, is finished and committed.
// Where requests may be paused, lower priorities also stay out of the launches until a request has
// been launched for its first step.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "executor/draft_model.h"
#include "executor/intake.h"
#include "executor/kv_cache.h"
#include "executor/load.h"
#include "executor/ranking.h"
#include "executor/scheduler.h"
#include "executor/sequence.h"
#include "executor/speed.h"
#include "model/network.h"
#include "step/plan.h"
#include "ttsrt/executor.h"

namespace ttsrt::executor {

// What of ExecutorOptions is of the loops and their queue.
struct LoopOptions {
  std::int32_t max_queue_size = 256;
  double prefill_slice_seconds = 0.0;  // 0: no limit
  std::int32_t iter_stats_max_iterations = 0;
  bool trace = false;
};

class Loop {
 public:
  // Takes its requests from `intake`, which must outlive it.
  Loop(std::unique_ptr<model::Network> network, const LoopOptions& options, Intake& intake,
       std::unique_ptr<DraftModel> draft = nullptr);
  ~Loop();  // closes the intake
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  const model::NetworkInfo& network() const { return network_->info(); }
  // Of the draft model's network, or null.
  const model::NetworkInfo* draft() const { return draft_ ? &draft_->info() : nullptr; }
  const Site& site() const { return site_; }
  std::vector<StageTimes> stage_times() const;
  // Waits for the end of the loop, for at most `timeout` seconds if given; whether it has ended.
  // The intake must be closed, or the device have failed.
  bool join(std::optional<double> timeout = std::nullopt);

 private:
  // A launch that isn't collected.
  struct Flight {
    step::StepPlan plan;
    step::StepBatch batch;
    model::Ticket ticket = 0;
    Clock::time_point begin;
  };

  void run();
  void pass();

  // Requests in.
  void take_in();
  bool take_waiting();
  void pause(std::int32_t slot);
  void start(Pending&& pending);
  Load load() const;
  void make_room(std::int32_t blocks);
  // What running requests may come to hold: a prefix that several of them share counts once.
  std::int32_t promised_blocks() const { return own_blocks_ + prefixes_.used_blocks(); }

  // Launches.
  bool launch_next();
  bool plan(step::StepPlan& plan);
  void guess();
  void plan_from(std::int32_t priority, step::StepPlan& plan);
  std::optional<std::int32_t> urgent_priority() const;
  void book_launch(const Flight& flight);
  void book_split(const step::StepPlan& plan);
  void adopt_thread();
  void collect_oldest();
  void begin_rounds();
  void publish(const Flight& flight, std::int64_t frames, double device_seconds,
               std::int32_t num_threads);

  // Requests out.
  void end_cancelled();
  void mark(Sequence& sequence, FinishReason reason, const std::string& why = "");
  void fail_plan(const step::StepPlan& plan, const std::string& why);
  void break_prefixes(const step::StepPlan& plan, const std::string& why);
  void break_prefix(Prefix& broken, const std::string& why);
  void end_faulty(const step::StepPlan& plan, const step::StepOutput& output);
  void fail_running(const std::string& why);
  void fail_device(const std::string& why);
  void abandon_flights();
  void settle();
  void release(std::int32_t slot);
  void end_pending(Pending&& pending, FinishReason reason, const std::string& why);
  std::int32_t num_active() const;
  bool has_live_requests() const;

  std::unique_ptr<model::Network> network_;
  const LoopOptions options_;
  const Site site_;
  Intake& intake_;

  // The loop thread's own.
  BlockPool pool_;
  PrefixCache prefixes_;
  Slots slots_;
  std::vector<std::int32_t> order_;  // slots of running requests, oldest first
  Ranking ranking_;                  // of those that had not ended when settle() ran last
  std::vector<std::int32_t> free_slots_;
  std::int32_t own_blocks_ = 0;  // worst cases of running requests, without their prefixes
  const std::unique_ptr<DraftModel> draft_;  // or null
  std::vector<Sequence*> guessed_;           // of guess()
  Scheduler scheduler_;
  StepBudget budget_;
  Speed speed_;
  std::vector<SequenceView> views_;
  std::vector<SplitBatch> split_;  // batches between two parts, of every Program
  std::vector<Flight> flights_;    // a ring of pipeline_depth
  std::size_t first_flight_ = 0;
  std::size_t num_flights_ = 0;
  Clock::time_point last_commit_;
  bool has_failed_ = false;  // the device has
  bool is_stalled_ = false;  // all requests wait for text
  bool is_adopted_ = false;  // by the network, as the thread that launches

  std::int32_t replica_ = 0;  // the number that the intake gave
  std::mutex close_mutex_;
  std::condition_variable ended_;
  bool has_ended_ = false;  // the loop's thread has nothing more to do
  std::thread thread_;
};

}  // namespace ttsrt::executor
