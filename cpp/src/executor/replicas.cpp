#include "executor/replicas.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/check.h"
#include "executor/worst_case.h"

namespace ttsrt::executor {

Replicas::Replicas(std::vector<std::unique_ptr<model::Network>> networks,
                   const LoopOptions& options, model::Drafter&& drafter)
    : intake_(options.max_queue_size, options.iter_stats_max_iterations),
      draft_engine_(std::move(drafter.engine)) {
  TTSRT_CHECK(InternalError, !networks.empty(), "an executor has at least one replica");
  const std::int32_t block_size = networks.front()->info().block_size;
  for (std::unique_ptr<model::Network>& network : networks) {
    TTSRT_CHECK(InternalError, network->info().block_size == block_size,
                "replicas: expected cache blocks of ", block_size, " positions, got ",
                network->info().block_size);
    std::unique_ptr<DraftModel> draft;
    if (!drafter.networks.empty()) {
      draft = std::make_unique<DraftModel>(std::move(drafter.networks.at(loops_.size())),
                                           drafter.vocab, drafter.position_table);
    }
    loops_.push_back(
        std::make_unique<Loop>(std::move(network), options, intake_, std::move(draft)));
  }
}

std::vector<const model::NetworkInfo*> Replicas::drafts() const {
  std::vector<const model::NetworkInfo*> all;
  for (const auto& loop : loops_) {
    if (loop->draft() != nullptr) all.push_back(loop->draft());
  }
  return all;
}

std::vector<const model::NetworkInfo*> Replicas::networks() const {
  std::vector<const model::NetworkInfo*> all;
  all.reserve(loops_.size());
  for (const auto& loop : loops_) all.push_back(&loop->network());
  return all;
}

void Replicas::submit(Pending pending) {
  const Loop& any = *loops_.front();
  pending.blocks = worst_case(pending.request, any.site(), any.network().block_size);
  intake_.submit(std::move(pending));
}

ExecutorStats Replicas::stats() const {
  std::vector<StageTimes> stages;  // while the lock is free
  for (const auto& loop : loops_) {
    std::vector<StageTimes> own = loop->stage_times();
    std::move(own.begin(), own.end(), std::back_inserter(stages));
  }
  ExecutorStats stats = intake_.stats();
  stats.stages = std::move(stages);
  return stats;
}

bool Replicas::close(bool drain, std::optional<double> timeout) {
  const Clock::time_point begin = Clock::now();
  intake_.close(drain);
  for (const auto& loop : loops_) {
    std::optional<double> left = timeout;
    if (left.has_value() && loop != loops_.front()) {
      const std::chrono::duration<double> waited = Clock::now() - begin;
      left = std::max(*left - waited.count(), 0.0);
    }
    if (!loop->join(left)) return false;
  }
  return true;
}

}  // namespace ttsrt::executor
