// What the executor counts, in all and of each replica. Not thread safe: the intake's lock guards
// it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
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
  double device_seconds = 0.0;   // that its launches took, as the network tells it
  std::int32_t num_threads = 0;  // as step::StepOutput
  SpeculationStats speculation = {};
};

class StatsBook {
 public:
  // The last `max_iterations` iterations are remembered.
  explicit StatsBook(std::int32_t max_iterations);

  // A replica on which `slots` requests run at most; its number, from 0 on. Its pool is read only
  // by calls that name the replica.
  std::int32_t add_replica(const std::string& device, const std::string& description,
                           std::int32_t slots, const BlockPool& pool);

  void count_submitted(std::size_t num_queued);
  void count_refused() { ++totals_.num_refused; }
  void count_queued(std::size_t num_queued);
  void count_started(std::int32_t replica, std::uint64_t id, double queue_seconds);
  void count_ended(std::int32_t replica, std::uint64_t id, FinishReason reason,
                   std::int32_t num_active);
  void count_preempted() { ++totals_.num_preemptions; }
  void count_paused(std::int32_t replica, std::int32_t num_paused);
  void count_failed(std::int32_t replica, const std::string& why);
  // Books an iteration, and where those that run stand now.
  void publish(std::int32_t replica, const Iteration& iteration);
  // All of it, without the requests that wait.
  ExecutorStats snapshot() const;

 private:
  struct Replica {
    const BlockPool* pool = nullptr;
    ReplicaStats stats;
    std::vector<RequestStats> requests;
    IterationStats next;  // what the iteration that runs has counted so far
  };

  Replica& at(std::int32_t replica) { return replicas_[static_cast<std::size_t>(replica)]; }
  static void book_occupancy(Replica& of, std::int32_t num_active);

  ExecutorStats totals_;              // its lists stay empty, and so do sums over replicas
  std::vector<IterationStats> ring_;  // the latest iterations, num_iterations % size is the next
  std::vector<Replica> replicas_;
};

}  // namespace ttsrt::executor
