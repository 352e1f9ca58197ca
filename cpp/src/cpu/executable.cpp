#include "cpu/executable.h"

#include <algorithm>
#include <chrono>

#include "core/check.h"
#include "rules/analyzer.h"

namespace ttsrt::cpu {
namespace {

using Clock = std::chrono::steady_clock;

std::size_t most_scratch(const Stages& stages) {
  std::size_t most = 0;
  for (const auto& stage : stages) {
    most = std::max(most, stage->scratch_bytes());
    if (stage->body() != nullptr) most = std::max(most, most_scratch(*stage->body()));
  }
  return most;
}

// Stages with the same label become one entry, in the place of the first.
void add_times(const Stages& stages, std::vector<StageTimes>& times) {
  for (const auto& stage : stages) {
    if (stage->body() != nullptr) add_times(*stage->body(), times);
    if (!stage->clock.is_kept() || stage->clock.runs() == 0) continue;
    const std::string label = stage->label();
    const auto found = std::find_if(times.begin(), times.end(), [&label](const StageTimes& known) {
      return known.stage == label;
    });
    StageTimes& entry = found == times.end() ? times.emplace_back() : *found;
    entry.stage = label;
    entry.runs += stage->clock.runs();
    entry.seconds += stage->clock.seconds();
    entry.busy_seconds += stage->clock.busy_seconds();
  }
}

void start_clocks(const Stages& stages, std::int32_t num_threads) {
  for (const auto& stage : stages) {
    if (stage->body() != nullptr) {
      start_clocks(*stage->body(), num_threads);
    } else {
      stage->clock.start(num_threads);
    }
  }
}

}  // namespace

Compiled::Compiled(const ops::Program& program, const ops::ProgramLimits& limits,
                   const Kernels& kernels, Slots& slots, std::int32_t num_threads, bool has_weights)
    : program_(program),
      limits_(limits),
      slots_(slots),
      launch_(limits.max_rows),
      ranges_(static_cast<std::size_t>(num_threads)) {
  ops::check_program(program, slots.spec());
  TTSRT_CHECK(InternalError, limits.max_rows > 0 && limits.max_draws >= 0, program.name, ": ",
              limits.max_rows, " rows, ", limits.max_draws, " draws");
  list_.site = {&kernels, &slots, &launch_, ranges_.data(), 0};
  list_.limits = limits;
  list_.has_weights = has_weights;
  needs_ = ops::needs_of(program_, limits, slots.spec());
  launch_.size(
      {limits.max_rows, limits.max_draws, needs_.uses_cache ? ops::most_blocks(slots.spec()) : 0});
  if (needs_.reads_schedule) launch_.schedule.resize(static_cast<std::size_t>(limits.max_rows));
  slots.make_room(limits.max_draws);
  for (const ops::Activation& activation : program_.activations) {
    const std::int64_t rows =
        activation.space == ops::RowSpace::rows ? limits.max_rows : std::max(limits.max_draws, 1);
    rows_.activations.push_back(list_.allocate(rows * activation.rate, activation.width));
    activation_bytes_ += static_cast<std::size_t>(rows * activation.values()) * sizeof(float);
  }
  rows_.rows = &launch_.rows;
  rows_.max_rows = limits.max_rows;
  rows_.keeps_all = limits.trace;
  Lowering lowering(list_, program_, rows_, list_.stages);
  lowering.run();
  list_.finish();
  part_stages_ = lowering.part_stages();
  emitted_ = lowering.emitted();
  if (limits.profile) start_clocks(list_.stages, num_threads);
}

std::vector<StageTimes> Compiled::stage_times() const {
  std::vector<StageTimes> times;
  add_times(list_.stages, times);
  return times;
}

void Compiled::check(const step::RowBatch& rows) const {
  ops::check_batch(rows, needs_, slots_.spec());
}

void Compiled::run(const step::RowBatch& rows, const Worker& worker, ThreadTeam& team) {
  if (rows.rows == 0) return;
  const Clock::time_point begin = Clock::now();
  if (worker.thread == 0) prepare(rows);
  team.barrier();
  walk(list_.stages, stages_of(rows), worker, team);
  if (worker.thread == 0) seconds_ = std::chrono::duration<double>(Clock::now() - begin).count();
}

// Returns the stages of the parts that run.
Range Compiled::stages_of(const step::RowBatch& rows) const {
  const auto at = [this](std::int32_t part) {
    const auto end = static_cast<std::int64_t>(list_.stages.size());
    return part >= program_.num_parts() ? end : part_stages_[static_cast<std::size_t>(part)];
  };
  return {at(rows.first_part), at(rows.last_part)};
}

void Compiled::run_stage(Stage& stage, const Worker& worker, ThreadTeam& team) const {
  if (!limits_.profile) {
    stage.run(worker);
    team.barrier();
    return;
  }
  const Clock::time_point begin = Clock::now();
  stage.run(worker);
  const std::chrono::duration<double> busy = Clock::now() - begin;
  team.barrier();
  const std::chrono::duration<double> spent = Clock::now() - begin;
  stage.clock.add(worker.thread, busy.count(), spent.count());
}

void Compiled::walk(const Stages& stages, const Range& range, const Worker& worker,
                    ThreadTeam& team) const {
  for (std::int64_t i = range.begin; i < range.end; ++i) {
    const auto& stage = stages[static_cast<std::size_t>(i)];
    if (!stage->is_needed()) continue;
    if (const Stages* body = stage->body()) {
      const Range all{0, static_cast<std::int64_t>(body->size())};
      Worker inside = worker;
      for (inside.pass = 0; inside.pass < stage->passes(); ++inside.pass)
        walk(*body, all, inside, team);
    } else {
      run_stage(*stage, worker, team);
    }
  }
}

void Compiled::prepare(const step::RowBatch& rows) {
  launch_.fill(rows);
  if (rows.first_part == 0) launch_.faults.clear();
  if (launch_.draws > 0) slots_.start_outcome(launch_.draws);
  if (needs_.reads_schedule) fill_schedule(rows);
  const auto rules_of = [this](std::int32_t slot) -> const rules::SlotRules& {
    return slots_.rules[static_cast<std::size_t>(slot)];
  };
  launch_.reads_scores =
      std::any_of(rows.draws.begin(), rows.draws.end(), [&](const step::Draw& draw) {
        const rules::SlotRules& of = rules_of(draw.slot);
        return rules::reads_scores(of) || of.prior.estimate_layers != 0;
      });
  launch_.fill_picks([&](std::int32_t slot) { return rules_of(slot).use_local_transformer; });
  launch_.pick_places = launch_.pick_rows * (slots_.spec().codebooks + 1);
  launch_.pick_passes = 0;
  for (std::int32_t pick = 0; pick < launch_.picks; ++pick) {
    const auto draw = static_cast<std::size_t>(launch_.pick_draw[static_cast<std::size_t>(pick)]);
    const std::int32_t steps = rules_of(rows.draws[draw].slot).maskgit.steps;
    launch_.pick_passes = std::max(launch_.pick_passes, steps);
  }
}

void Compiled::fill_schedule(const step::RowBatch& rows) {
  for (const step::Segment& segment : rows.segments)
    std::fill_n(launch_.schedule.begin() + segment.first_row, segment.rows,
                slots_.schedule_row(slots_.spec().read_schedule_row(segment)));
}

const float* Compiled::activation(ops::BufferId buffer) const {
  TTSRT_CHECK(InternalError,
              buffer >= 0 && static_cast<std::size_t>(buffer) < rows_.activations.size(),
              program_.name, ": buffer ", buffer, " of ", rows_.activations.size());
  return rows_.activations[static_cast<std::size_t>(buffer)].data;
}

void Compiled::append_faults(const step::RowBatch& rows, std::vector<step::Fault>& faults) const {
  launch_.faults.append(program_, limits_.index, rows.rows, faults);
}

const float* Compiled::emitted(const step::RowBatch& rows) const {
  const bool returns = rows.returns_rows && rows.last_part >= program_.num_parts();
  return emitted_ == ops::kNoBuffer || !returns ? nullptr : activation(emitted_);
}

std::int64_t Compiled::emitted_width() const {
  return program_.activations[static_cast<std::size_t>(emitted_)].values();
}

std::size_t Compiled::activation_bytes() const { return activation_bytes_; }

std::size_t Compiled::buffer_bytes() const {
  std::size_t bytes = 0;
  for (const AlignedBuffer& buffer : list_.buffers) bytes += buffer.bytes();
  return bytes - activation_bytes_;
}

std::size_t Compiled::scratch_bytes() const { return most_scratch(list_.stages); }

}  // namespace ttsrt::cpu
