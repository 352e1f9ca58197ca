// Running sequences over a block pool, as the loop admits them, for tests of what works on them.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "executor/kv_cache.h"
#include "executor/sequence.h"
#include "support/facts.h"

namespace ttsrt::test {

using Sequences = std::vector<std::unique_ptr<executor::Sequence>>;

struct Sequencer {
  explicit Sequencer(step::ModelFacts the_facts = small_facts(), std::int32_t blocks = 64)
      : facts(std::move(the_facts)), pool(blocks, 4), prefixes(pool) {}

  executor::Sequence& add(Request request) {
    executor::Pending pending;
    pending.request = prepared(std::move(request), facts);
    pending.channel = std::make_shared<Channel>(running.size() + 1);
    pending.submitted = executor::Clock::now();
    auto sequence = std::make_unique<executor::Sequence>(
        std::move(pending), static_cast<std::int32_t>(running.size()), facts, false);
    sequence->conditional = executor::BlockTable(pool);
    sequence->unconditional = executor::BlockTable(pool);
    if (sequence->is_guided() && sequence->context_rows() > 0 && facts.shares_unconditional) {
      sequence->prefix = &prefixes.acquire(sequence->context_rows());
    }
    running.push_back(std::move(sequence));
    return *running.back();
  }

  step::StepPlan plan() const {
    std::vector<executor::SequenceView> views;
    for (const auto& sequence : running) views.push_back(sequence->view());
    executor::StepBudget budget;
    budget.max_rows = facts.max_rows;
    budget.num_parts.fill(1);
    return executor::plan_step(views, {}, budget);
  }

  step::ModelFacts facts;
  executor::BlockPool pool;
  executor::PrefixCache prefixes;
  Sequences running;
};

}  // namespace ttsrt::test
