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
    } else {
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

}  // namespace

StatsBook::StatsBook(std::int32_t slots, std::int32_t max_iterations, const BlockPool& pool)
    : pool_(pool), ring_(static_cast<std::size_t>(max_iterations)) {
  totals_.max_num_active_requests = slots;
  requests_.reserve(static_cast<std::size_t>(slots));
  book_occupancy(0);
}

// What is taken of slots and blocks.
void StatsBook::book_occupancy(std::int32_t num_active) {
  totals_.num_active_requests = num_active;
  KvCacheStats& cache = totals_.kv_cache_stats;
  cache.max_num_blocks = pool_.num_blocks();
  cache.free_num_blocks = pool_.num_free();
  cache.used_num_blocks = pool_.num_blocks() - pool_.num_free();
  cache.tokens_per_block = pool_.block_size();
  cache.alloc_new_blocks = pool_.num_taken();
  cache.reused_blocks = pool_.num_shared();
  cache.alloc_total_blocks = pool_.num_taken() + pool_.num_shared();
}

void StatsBook::count_submitted(std::size_t num_queued) {
  ++totals_.num_submitted;
  count_queued(num_queued);
}

void StatsBook::count_queued(std::size_t num_queued) {
  totals_.num_queued_requests = static_cast<std::int32_t>(num_queued);
}

void StatsBook::count_started(std::uint64_t id, double queue_seconds) {
  ++totals_.num_active_requests;  // from when it leaves the queue on: it is never in neither
  requests_.push_back({.id = id, .stage = RequestStage::encoder_in_progress});
  ++next_.num_new_active_requests;
  next_.new_active_requests_queue_latency_ms += queue_seconds * 1e3;
}

void StatsBook::count_ended(std::uint64_t id, FinishReason reason, std::int32_t num_active) {
  std::erase_if(requests_, [id](const RequestStats& request) { return request.id == id; });
  if (reason == FinishReason::error) {
    ++totals_.num_failed;
  } else if (reason == FinishReason::cancelled || reason == FinishReason::deadline) {
    ++totals_.num_cancelled;
  } else {
    ++totals_.num_completed;
  }
  const bool is_own_end = reason == FinishReason::stop || reason == FinishReason::length;
  if (!is_own_end) ++next_.num_completed_requests;  // publish() has counted the others
  book_occupancy(num_active);
}

void StatsBook::publish(const Iteration& iteration) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto num_active = static_cast<std::int32_t>(iteration.order.size());
  totals_.num_iterations += 1;
  totals_.num_frames += static_cast<std::uint64_t>(iteration.frames);
  totals_.iteration_seconds += iteration.seconds;
  book_occupancy(num_active);
  next_.timestamp = std::chrono::duration<double>(now).count();
  next_.iter = totals_.num_iterations;
  next_.iter_latency_ms = iteration.seconds * 1e3;
  next_.device_latency_ms = iteration.device_seconds * 1e3;
  next_.num_active_requests = num_active;
  next_.num_queued_requests = totals_.num_queued_requests;
  next_.num_frames = static_cast<std::int32_t>(iteration.frames);
  next_.kv_cache_stats = totals_.kv_cache_stats;
  next_.inflight_batching_stats = carried(iteration);
  requests_.clear();
  for (const std::int32_t slot : iteration.order) {
    const Sequence& sequence = *iteration.slots[static_cast<std::size_t>(slot)];
    const bool is_own_end =
        sequence.end == FinishReason::stop || sequence.end == FinishReason::length;
    if (is_own_end && sequence.flights == 0) ++next_.num_completed_requests;
    requests_.push_back(sequence.stats(iteration.site));
  }
  if (!ring_.empty()) ring_[static_cast<std::size_t>(next_.iter - 1) % ring_.size()] = next_;
  next_ = {};
}

ExecutorStats StatsBook::snapshot() const {
  ExecutorStats stats = totals_;
  const std::size_t size = ring_.size();
  const auto made = static_cast<std::size_t>(totals_.num_iterations);
  for (std::size_t i = made - std::min(made, size); i < made; ++i)
    stats.iterations.push_back(ring_[i % size]);
  stats.requests = requests_;
  return stats;
}

}  // namespace ttsrt::executor
