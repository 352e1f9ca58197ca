#include "cpu/executable.h"

#include <algorithm>
#include <chrono>

#include "core/check.h"

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

// Stages of one label are one entry, where the first of them stands.
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
                   const Kernels& kernels, Slots& slots, std::int32_t num_threads)
    : program_(program),
      limits_(limits),
      slots_(slots),
      ranges_(static_cast<std::size_t>(num_threads)) {
  TTSRT_CHECK(InternalError, limits.max_rows > 0 && limits.max_draws >= 0, program.name, ": ",
              limits.max_rows, " rows, ", limits.max_draws, " draws");
  plan_.site = {&kernels, &slots, &launch_, ranges_.data()};
  plan_.limits = limits;
  const auto max_rows = static_cast<std::size_t>(limits.max_rows);
  const auto max_draws = static_cast<std::size_t>(limits.max_draws);
  launch_.segment_of.resize(max_rows);
  launch_.draw_of.resize(max_rows);
  launch_.first_block.resize(max_rows + 1);
  launch_.pick_draw.resize(max_draws);
  launch_.pick_first.resize(max_draws);
  launch_.pick_source.resize(2 * max_draws);
  slots.make_room(limits.max_draws);
  for (const ops::Activation& activation : program_.activations) {
    const std::int64_t rows =
        activation.space == ops::RowSpace::rows ? limits.max_rows : std::max(limits.max_draws, 1);
    rows_.activations.push_back(plan_.allocate(rows, activation.width));
    activation_bytes_ += static_cast<std::size_t>(rows * activation.width) * sizeof(float);
  }
  rows_.rows = &launch_.rows;
  rows_.max_rows = limits.max_rows;
  rows_.keeps_all = limits.trace;
  Lowering lowering(plan_, program_, rows_, plan_.stages);
  lowering.run();
  plan_.finish();
  part_stages_ = lowering.part_stages();
  uses_cache_ = lowering.uses_cache();
  if (limits.profile) start_clocks(plan_.stages, num_threads);
}

std::vector<StageTimes> Compiled::stage_times() const {
  std::vector<StageTimes> times;
  add_times(plan_.stages, times);
  return times;
}

void Compiled::check(const step::RowBatch& rows) const {
  const ops::StateSpec& spec = slots_.spec();
  TTSRT_CHECK(InternalError,
              rows.rows <= limits_.max_rows &&
                  rows.draws.size() <= static_cast<std::size_t>(limits_.max_draws),
              program_.name, ": expected at most ", limits_.max_rows, " rows and ",
              limits_.max_draws, " draws, got ", rows.rows, " and ", rows.draws.size());
  std::int32_t next = 0;
  for (const step::Segment& segment : rows.segments) {
    const bool is_gone = segment.slot == step::kNobody && rows.first_part > 0;
    TTSRT_CHECK(InternalError, is_gone || (segment.slot >= 0 && segment.slot < spec.slots),
                "segment: slot ", segment.slot, " of ", spec.slots);
    TTSRT_CHECK(InternalError,
                segment.first_row == next && segment.rows > 0 && segment.position >= 0,
                "segment of ", segment.rows, " rows at position ", segment.position,
                ": expected first row ", next, ", got ", segment.first_row);
    next += segment.rows;
    if (!uses_cache_) continue;
    const std::int64_t last = std::int64_t{segment.position} + segment.rows;
    TTSRT_CHECK(
        InternalError,
        segment.blocks != nullptr && last <= std::int64_t{segment.num_blocks} * ops::kBlockSize,
        "segment: ", last, " positions in ", segment.num_blocks, " blocks");
    for (std::int32_t b = 0; b < segment.num_blocks; ++b) {
      TTSRT_CHECK(InternalError, segment.blocks[b] >= 0 && segment.blocks[b] < spec.num_blocks,
                  "segment: block ", segment.blocks[b], " of ", spec.num_blocks);
    }
  }
  TTSRT_CHECK(InternalError, next == rows.rows, "batch: expected ", rows.rows,
              " rows in segments, got ", next);
  for (const step::Draw& draw : rows.draws) {
    TTSRT_CHECK(InternalError,
                draw.slot >= 0 && draw.slot < spec.slots && draw.conditional_row >= 0 &&
                    draw.conditional_row < rows.rows && draw.unconditional_row >= -1 &&
                    draw.unconditional_row < rows.rows,
                "draw: slot ", draw.slot, ", rows ", draw.conditional_row, " and ",
                draw.unconditional_row, " of ", rows.rows);
  }
}

void Compiled::run(const step::RowBatch& rows, const Worker& worker, ThreadTeam& team) {
  if (rows.rows == 0) return;
  const Clock::time_point begin = Clock::now();
  if (worker.thread == 0) prepare(rows);
  team.barrier();
  walk(plan_.stages, stages_of(rows), worker, team);
  if (worker.thread == 0) seconds_ = std::chrono::duration<double>(Clock::now() - begin).count();
}

// Stages of the parts that run.
Range Compiled::stages_of(const step::RowBatch& rows) const {
  const auto at = [this](std::int32_t part) {
    const auto end = static_cast<std::int64_t>(plan_.stages.size());
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
  launch_.batch = &rows;
  launch_.rows = rows.rows;
  launch_.draws = static_cast<std::int32_t>(rows.draws.size());
  launch_.has_single_rows = rows.segments.size() == static_cast<std::size_t>(rows.rows);
  launch_.first_block[0] = 0;
  for (std::size_t s = 0; s < rows.segments.size(); ++s) {
    const step::Segment& segment = rows.segments[s];
    if (continues(rows.segments, s)) launch_.has_single_rows = false;
    launch_.first_block[s + 1] =
        launch_.first_block[s] + static_cast<std::int32_t>(ops::blocks_for(segment.rows));
    for (std::int32_t row = segment.first_row; row < segment.first_row + segment.rows; ++row) {
      launch_.segment_of[static_cast<std::size_t>(row)] = static_cast<std::int32_t>(s);
      launch_.draw_of[static_cast<std::size_t>(row)] = -1;
    }
  }
  for (std::size_t d = 0; d < rows.draws.size(); ++d) {
    launch_.draw_of[static_cast<std::size_t>(rows.draws[d].conditional_row)] =
        static_cast<std::int32_t>(d);
  }
  if (launch_.draws > 0) slots_.start_outcome(launch_.draws);
  prepare_picks(rows);
}

void Compiled::prepare_picks(const step::RowBatch& rows) {
  launch_.picks = 0;
  launch_.pick_rows = 0;
  launch_.pick_passes = 0;
  for (std::size_t d = 0; d < rows.draws.size(); ++d) {
    const step::Draw& draw = rows.draws[d];
    const auto& rules = slots_.rules[static_cast<std::size_t>(draw.slot)];
    if (!rules.use_local_transformer) continue;
    const auto pick = static_cast<std::size_t>(launch_.picks++);
    launch_.pick_draw[pick] = static_cast<std::int32_t>(d);
    launch_.pick_first[pick] = launch_.pick_rows;
    launch_.pick_source[static_cast<std::size_t>(launch_.pick_rows++)] = draw.conditional_row;
    if (draw.unconditional_row >= 0) {
      launch_.pick_source[static_cast<std::size_t>(launch_.pick_rows++)] = draw.unconditional_row;
    }
    launch_.pick_passes = std::max(launch_.pick_passes, rules.maskgit.steps);
  }
  launch_.pick_places = launch_.pick_rows * (slots_.spec().codebooks + 1);
}

const float* Compiled::activation(ops::BufferId buffer) const {
  TTSRT_CHECK(InternalError,
              buffer >= 0 && static_cast<std::size_t>(buffer) < rows_.activations.size(),
              program_.name, ": buffer ", buffer, " of ", rows_.activations.size());
  return rows_.activations[static_cast<std::size_t>(buffer)].data;
}

std::size_t Compiled::activation_bytes() const { return activation_bytes_; }

std::size_t Compiled::scratch_bytes() const { return most_scratch(plan_.stages); }

}  // namespace ttsrt::cpu
