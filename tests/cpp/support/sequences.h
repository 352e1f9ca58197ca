// Running sequences over a block pool, as the loop keeps them, for tests of what works on them:
// launches are planned, built and booked as Loop does it, and committed when the test says so.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "executor/batch_builder.h"
#include "executor/commit.h"
#include "executor/kv_cache.h"
#include "executor/rounds.h"
#include "executor/scheduler.h"
#include "executor/sequence.h"
#include "step/output.h"
#include "support/facts.h"

namespace ttsrt::test {

// A launch that isn't committed.
struct Launch {
  step::StepPlan plan;
  step::StepBatch batch;
};

// What a launch gives where every draw takes the codes `first`, `first` + 1, ... and its scores are
// counted from 10 * `first` on. `end_frame` is the first draw's. Encoded rows are 4 numbers wide
// and count from 100 * `first` on.
inline step::StepOutput output_of(const step::StepBatch& batch, const step::Facts& facts,
                                  std::int32_t first = 0, std::int32_t end_frame = -1) {
  step::StepOutput output;
  output.max_text_len = facts.max_text_len;
  for (std::size_t p = 0; p < batch.programs.size(); ++p) {
    const step::RowBatch& rows = batch.programs[p];
    if (p == kEncodeText && rows.rows > 0 && rows.returns_rows) {
      step::RowsOutput& encoded = output.rows.emplace_back();
      encoded.program = kEncodeText;
      encoded.width = 4;
      for (std::int32_t i = 0; i < 4 * rows.rows; ++i)
        encoded.values.push_back(static_cast<float>(first * 100 + i));
    }
    for (const step::Draw& draw : rows.draws) {
      output.draws.push_back({draw.slot, output.draws.empty() ? end_frame : -1, -1});
      for (std::int32_t c = 0; c < facts.stack_codes(); ++c) output.codes.push_back(first + c);
      for (std::int32_t j = 0; j < output.max_text_len; ++j)
        output.scores.push_back(static_cast<float>(first * 10 + j));
    }
  }
  return output;
}

struct Sequencer {
  explicit Sequencer(step::Facts the_facts = small_facts(),
                     std::vector<step::ProgramInfo> the_programs = small_programs(),
                     std::int32_t blocks = 64)
      : facts(std::move(the_facts)),
        programs(std::move(the_programs)),
        pool(blocks, 4),
        prefixes(pool),
        split(programs.size()),
        scheduler(programs, kMaxSequences) {
    slots.reserve(kMaxSequences);
    views.reserve(kMaxSequences);
    budget.row_seconds.assign(programs.size(), 0.0);
  }
  Sequencer(const Sequencer&) = delete;
  Sequencer& operator=(const Sequencer&) = delete;

  executor::Sequence& add(Request request) { return add(std::move(request), small_model(facts)); }
  executor::Sequence& add(Request request, const model::magpie::Facts& model) {
    return start(prepared(std::move(request), model));
  }

  // As Loop::start.
  executor::Sequence& start(executor::PreparedRequest request, bool is_traced = false) {
    const auto slot = static_cast<std::int32_t>(slots.size());
    executor::Pending pending;
    pending.request = std::move(request);
    pending.channel = make_channel(slots.size() + 1);
    pending.submitted = executor::Clock::now();
    auto sequence = std::make_unique<executor::Sequence>(std::move(pending), slot, site, is_traced);
    sequence->started = executor::Clock::now();
    for (executor::BlockTable& table : sequence->tables) {
      table = executor::BlockTable(pool);
      table.reserve(pool.num_blocks() * pool.block_size());
    }
    for (std::size_t i = 0; i < sequence->prefixes.size(); ++i) {
      const std::optional<step::PrefixKey>& shared = sequence->stops()[i].shared;
      if (shared.has_value()) sequence->prefixes[i] = &prefixes.acquire(*shared);
    }
    slots.push_back(std::move(sequence));
    order.push_back(slot);
    return *slots.back();
  }

  // As Loop::plan.
  void plan(step::StepPlan& into) {
    views.clear();
    for (const std::int32_t slot : order) {
      const executor::Sequence& sequence = *slots[static_cast<std::size_t>(slot)];
      if (!sequence.end.has_value()) views.push_back(sequence.view());
    }
    budget.max_rows = facts.max_rows;
    scheduler.plan(views, split, budget, into);
  }

  // Plans, builds and books as Loop::launch_next.
  void launch(Launch& into) {
    plan(into.plan);
    build_batch(into.plan, slots, site, into.batch);
    book(into.plan);
  }
  Launch launch() {
    Launch launched;
    launch(launched);
    return launched;
  }

  // As Loop::book_launch.
  void book(const step::StepPlan& of) {
    for (const std::int32_t slot : order)
      slots[static_cast<std::size_t>(slot)]->is_scheduled = false;
    for (const step::PlanItem& item : of.items) {
      if (item.slot == step::kNoSlot) continue;
      executor::Sequence& sequence = *slots[static_cast<std::size_t>(item.slot)];
      sequence.is_scheduled = true;
      ++sequence.flights;
      if (of.pauses_in(item.program)) continue;
      executor::StopProgress& progress = sequence.progress_of(item.stop);
      if (executor::Prefix* prefix = sequence.prefix_of(item.stop)) {
        prefix->planned = std::max(prefix->planned, item.first + item.rows);
      } else if (site.program(sequence.stop(item.stop)).pace == step::Pace::chunked) {
        progress.planned_rows = item.first + item.rows;
      } else {
        ++progress.planned_repeats;
        if (item.stop == sequence.stepwise) ++sequence.open_steps;
      }
    }
    book_split(of);
  }

  // As Loop::collect_oldest; the codec frames made.
  std::int64_t commit(const Launch& launched, const step::StepOutput& output) {
    for (const step::PlanItem& item : launched.plan.items) {
      if (item.slot == step::kNoSlot) continue;
      executor::Sequence& sequence = *slots[static_cast<std::size_t>(item.slot)];
      --sequence.flights;
      if (item.stop == sequence.stepwise) --sequence.open_steps;
    }
    const std::int64_t frames =
        executor::commit(launched.plan, launched.batch, output, slots, site);
    for (const std::int32_t slot : order) {
      executor::Sequence& sequence = *slots[static_cast<std::size_t>(slot)];
      if (executor::can_begin_round(sequence)) executor::begin_round(sequence, facts);
    }
    return frames;
  }
  std::int64_t commit(const Launch& launched, std::int32_t first_code = 0,
                      std::int32_t end_frame = -1) {
    return commit(launched, output_of(launched.batch, facts, first_code, end_frame));
  }

  // A launch and its commit.
  std::int64_t step(std::int32_t first_code = 0, std::int32_t end_frame = -1) {
    return commit(launch(), first_code, end_frame);
  }

  static constexpr std::int32_t kMaxSequences = 16;

  step::Facts facts;
  std::vector<step::ProgramInfo> programs;
  executor::Site site{facts, programs};
  executor::BlockPool pool;
  executor::PrefixCache prefixes;
  executor::Slots slots;
  std::vector<std::int32_t> order;
  std::vector<executor::SequenceView> views;
  std::vector<executor::SplitBatch> split;  // of every Program
  executor::StepBudget budget;
  executor::Scheduler scheduler;

 private:
  void book_split(const step::StepPlan& of) {
    for (std::size_t program = 0; program < split.size(); ++program) {
      split[program].members.clear();
      split[program].next_part = 0;
      if (!of.programs[program].pauses) continue;
      split[program].next_part = of.programs[program].last;
      for (const step::PlanItem& item : of.items) {
        if (static_cast<std::size_t>(item.program) == program)
          split[program].members.push_back({item.slot, item.stop, item.rows});
      }
    }
  }
};

// The next event of a sequence, if one waits.
inline std::optional<Event> next_event_of(const executor::Sequence& sequence) {
  bool timed_out = false;
  return sequence.channel->next(0.0, timed_out);
}

}  // namespace ttsrt::test
