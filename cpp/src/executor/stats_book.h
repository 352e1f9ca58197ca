// What the executor counts. Not thread safe: the loop's lock guards it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "executor/kv_cache.h"
#include "executor/sequence.h"
#include "step/plan.h"
#include "ttsrt/stats.h"

namespace ttsrt::executor {

// An iteration: one launch from its plan to its commit.
struct Iteration {
  const step::StepPlan& plan;
  const Site& site;
  const Slots& slots;
  const std::vector<std::int32_t>& order;  // slots of running requests
  std::int64_t frames = 0;                 // codec frames made
  double seconds = 0.0;
  double device_seconds = 0.0;  // that its launches took, as the network tells it
};

class StatsBook {
 public:
  // `slots` requests run at most; the last `max_iterations` iterations are remembered.
  StatsBook(std::int32_t slots, std::int32_t max_iterations, const BlockPool& pool);

  void count_submitted(std::size_t num_queued);
  void count_refused() { ++totals_.num_refused; }
  void count_queued(std::size_t num_queued);
  void count_started(std::uint64_t id, double queue_seconds);
  void count_ended(std::uint64_t id, FinishReason reason, std::int32_t num_active);
  void count_preempted() { ++totals_.num_preemptions; }
  void count_paused(std::int32_t num_paused) { totals_.num_preempted_requests = num_paused; }
  // Books an iteration, and where those that run stand now.
  void publish(const Iteration& iteration);
  // All of it, without the requests that wait.
  ExecutorStats snapshot() const;

 private:
  void book_occupancy(std::int32_t num_active);

  const BlockPool& pool_;
  ExecutorStats totals_;              // its lists stay empty
  std::vector<IterationStats> ring_;  // the latest iterations, num_iterations % size is the next
  std::vector<RequestStats> requests_;
  IterationStats next_;  // what the iteration that runs has counted so far
};

}  // namespace ttsrt::executor
