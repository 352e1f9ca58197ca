#include "executor/stats_book.h"

#include <algorithm>
#include <chrono>

namespace ttsrt::executor {
namespace {

InflightBatchingStats carried(const Iteration& of) {
  InflightBatchingStats stats;
  for (const step::PlanItem& item : of.plan.items) {
    const step::ProgramInfo& program = of.site.programs[static_cast<std::size_t>(item.program)];
    if (program.pace == step::Pace::stepwise) {
      ++stats.num_gen_requests;
    } else if (program.pace != step::Pace::chunked || program.emits == step::Emits::nothing) {
      stats.num_ctx_tokens += item.rows;
    }
  }
  for (const std::int32_t slot : of.order) {
    const bool is_scheduled =
        std::any_of(of.plan.items.begin(), of.plan.items.end(),
                    [slot](const step::PlanItem& item) { return item.slot == slot; });
    ++(is_scheduled ? stats.num_scheduled_requests : stats.num_paused_requests);
  }
  stats.num_context_requests = std::max(stats.num_scheduled_requests - stats.num_gen_requests, 0);
  return stats;
}

void add(KvCacheStats& sum, const KvCacheStats& of) {
  sum.max_num_blocks += of.max_num_blocks;
  sum.free_num_blocks += of.free_num_blocks;
  sum.used_num_blocks += of.used_num_blocks;
  sum.tokens_per_block = of.tokens_per_block;
  sum.alloc_total_blocks += of.alloc_total_blocks;
  sum.alloc_new_blocks += of.alloc_new_blocks;
  sum.reused_blocks += of.reused_blocks;
}

}  // namespace

StatsBook::StatsBook(std::int32_t max_iterations)
    : ring_(static_cast<std::size_t>(max_iterations)) {}

std::int32_t StatsBook::add_replica(const std::string& device, const std::string& description,
                                    std::int32_t slots, const BlockPool& pool) {
  const auto number = static_cast<std::int32_t>(replicas_.size());
  Replica& added = replicas_.emplace_back();
  added.pool = &pool;
  added.stats.device = device;
  added.stats.description = description;
  added.stats.max_num_active_requests = slots;
  added.requests.reserve(static_cast<std::size_t>(slots));
  added.next.replica = number;
  book_occupancy(added, 0);
  return number;
}

// What is taken of slots and blocks.
void StatsBook::book_occupancy(Replica& of, std::int32_t num_active) {
  of.stats.num_active_requests = num_active;
  KvCacheStats& cache = of.stats.kv_cache_stats;
  const BlockPool& pool = *of.pool;
  cache.max_num_blocks = pool.num_blocks();
  cache.free_num_blocks = pool.num_free();
  cache.used_num_blocks = pool.num_blocks() - pool.num_free();
  cache.tokens_per_block = pool.block_size();
  cache.alloc_new_blocks = pool.num_taken();
  cache.reused_blocks = pool.num_shared();
  cache.alloc_total_blocks = pool.num_taken() + pool.num_shared();
}

void StatsBook::count_submitted(std::size_t num_queued) {
  ++totals_.num_submitted;
  count_queued(num_queued);
}

void StatsBook::count_queued(std::size_t num_queued) {
  totals_.num_queued_requests = static_cast<std::int32_t>(num_queued);
}

void StatsBook::count_started(std::int32_t replica, std::uint64_t id, double queue_seconds) {
  Replica& of = at(replica);
  ++of.stats.num_active_requests;  // from when it leaves the queue on: it is never in neither
  of.requests.push_back({.id = id, .stage = RequestStage::encoder_in_progress, .replica = replica});
  ++of.next.num_new_active_requests;
  of.next.new_active_requests_queue_latency_ms += queue_seconds * 1e3;
}

void StatsBook::count_ended(std::int32_t replica, std::uint64_t id, FinishReason reason,
                            std::int32_t num_active) {
  Replica& of = at(replica);
  std::erase_if(of.requests, [id](const RequestStats& request) { return request.id == id; });
  if (reason == FinishReason::error) {
    ++totals_.num_failed;
  } else if (reason == FinishReason::cancelled || reason == FinishReason::deadline) {
    ++totals_.num_cancelled;
  } else {
    ++totals_.num_completed;
  }
  const bool is_own_end = reason == FinishReason::stop || reason == FinishReason::length;
  if (!is_own_end) ++of.next.num_completed_requests;  // publish() has counted the others
  book_occupancy(of, num_active);
}

void StatsBook::count_paused(std::int32_t replica, std::int32_t num_paused) {
  at(replica).stats.num_preempted_requests = num_paused;
}

void StatsBook::count_failed(std::int32_t replica, const std::string& why) {
  at(replica).stats.failure = why;
}

void StatsBook::publish(std::int32_t replica, const Iteration& iteration) {
  Replica& of = at(replica);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto num_active = static_cast<std::int32_t>(iteration.order.size());
  totals_.num_iterations += 1;
  totals_.num_frames += static_cast<std::uint64_t>(iteration.frames);
  totals_.iteration_seconds += iteration.seconds;
  add_difference(totals_.speculation, iteration.speculation, {});
  of.stats.num_iterations += 1;
  of.stats.num_frames += static_cast<std::uint64_t>(iteration.frames);
  book_occupancy(of, num_active);
  IterationStats& next = of.next;
  next.timestamp = std::chrono::duration<double>(now).count();
  next.iter = totals_.num_iterations;
  next.iter_latency_ms = iteration.seconds * 1e3;
  next.device_latency_ms = iteration.device_seconds * 1e3;
  next.num_active_requests = num_active;
  next.num_queued_requests = totals_.num_queued_requests;
  next.num_frames = static_cast<std::int32_t>(iteration.frames);
  next.num_threads = iteration.num_threads;
  of.stats.num_threads = iteration.num_threads;
  next.kv_cache_stats = of.stats.kv_cache_stats;
  next.inflight_batching_stats = carried(iteration);
  of.requests.clear();
  for (const std::int32_t slot : iteration.order) {
    const Sequence& sequence = *iteration.slots[static_cast<std::size_t>(slot)];
    const bool is_own_end =
        sequence.end == FinishReason::stop || sequence.end == FinishReason::length;
    if (is_own_end && sequence.flights == 0) ++next.num_completed_requests;
    of.requests.push_back(sequence.stats(iteration.site));
    of.requests.back().replica = replica;
  }
  if (!ring_.empty()) ring_[static_cast<std::size_t>(next.iter - 1) % ring_.size()] = next;
  next = {};
  next.replica = replica;
}

ExecutorStats StatsBook::snapshot() const {
  ExecutorStats stats = totals_;
  const std::size_t size = ring_.size();
  const auto made = static_cast<std::size_t>(totals_.num_iterations);
  for (std::size_t i = made - std::min(made, size); i < made; ++i)
    stats.iterations.push_back(ring_[i % size]);
  for (const Replica& of : replicas_) {
    stats.num_active_requests += of.stats.num_active_requests;
    stats.num_preempted_requests += of.stats.num_preempted_requests;
    stats.max_num_active_requests += of.stats.max_num_active_requests;
    add(stats.kv_cache_stats, of.stats.kv_cache_stats);
    stats.requests.insert(stats.requests.end(), of.requests.begin(), of.requests.end());
    stats.replicas.push_back(of.stats);
  }
  return stats;
}

}  // namespace ttsrt::executor
