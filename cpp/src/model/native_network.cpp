#include "model/native_network.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "core/check.h"
#include "model/run_limits.h"
#include "ops/uses.h"

namespace ttsrt::model {
namespace {

// Whether some op writes keys and values, or rows of a schedule, to the blocks of the cache.
bool uses_cache(const ops::Program& program, bool has_schedules) {
  return std::any_of(program.ops.begin(), program.ops.end(), [&](const ops::Op& op) {
    const auto* attention = std::get_if<ops::SelfAttention>(&op);
    const bool is_cached = attention != nullptr && attention->cache_layer >= 0;
    return is_cached || (has_schedules && std::holds_alternative<ops::StoreSchedule>(op));
  });
}

bool reads_schedule(const ops::Program& program) {
  return std::any_of(program.ops.begin(), program.ops.end(), [](const ops::Op& op) {
    const ops::Uses uses = ops::uses_of(op);
    return std::any_of(uses.begin(), uses.end(), [](const ops::Use& use) {
      return use.part == ops::Part::schedule && use.reads();
    });
  });
}

}  // namespace

NativeNetwork::NativeNetwork(const EngineData& engine, std::unique_ptr<ops::Backend> backend,
                             const NetworkOptions& options)
    : profile_(options.profile), trace_(options.trace), backend_(std::move(backend)) {
  const Limits& limits = options.limits;
  const Family& family = *engine.family;
  check_device(family.state(limits, options.state), backend_->info().device);
  const std::vector<FamilyProgram> programs = family.programs(engine.weights, limits, trace_);
  std::vector<ops::SizedProgram> sized;
  for (const FamilyProgram& of : programs) {
    const auto index = static_cast<std::int32_t>(sized.size());
    sized.push_back(
        {&of.program, {of.max_rows, of.max_draws, trace_, profile_, index, of.max_segments}});
  }
  const ops::StateSpec state =
      fitted_state(family, limits, options.state, options.cache, *backend_, sized);
  if (const std::optional<std::size_t> free = backend_->free_bytes())
    check_fits(backend_->info().device, backend_->memory_use(state, sized), *free);
  backend_->create_state(state);
  weights_ = engine.weights.use();
  const bool has_schedules = state.schedule_rows == 0;  // the blocks of the cache have
  for (std::size_t p = 0; p < programs.size(); ++p)
    compile(programs[p], sized[p].limits, has_schedules);
  for (const auto& executable : executables_) executable->prepare();
  info_.weight_bytes = backend_->weight_bytes();
  if (info_.weight_bytes > 0) weights_.reset();

  info_.device = backend_->info().device;
  info_.description = backend_->info().description;
  info_.pipeline_depth = backend_->info().pipeline_depth;
  info_.takes_token_rules = backend_->info().takes_token_rules;
  info_.cache_dtype = options.state.cache_dtype;
  info_.slots = state.slots;
  info_.paused_slots = limits.max_paused;
  info_.num_blocks = state.num_blocks;
  info_.block_size = ops::kBlockSize;
  info_.facts = family.facts(limits);
  info_.state_bytes = backend_->state_bytes();
  for (const auto& executable : executables_)
    info_.activation_bytes += executable->activation_bytes();
  info_.scratch_bytes = backend_->scratch_bytes();
  info_.graph_bytes = backend_->graph_bytes();
  info_.free_bytes = backend_->free_bytes().value_or(0);
  const auto draws = static_cast<std::size_t>(limits.max_batch_size + limits.max_draft_rows);
  output_.draws.reserve(draws);
  output_.codes.reserve(draws * static_cast<std::size_t>(state.codebooks));
  output_.scores.reserve(draws * static_cast<std::size_t>(state.max_text_len));
  if (state.max_drawn > 0) {
    output_.logprobs.reserve(draws);
    output_.likeliest_ids.reserve(draws * rules::kMaxLogprobs);
    output_.likeliest_logprobs.reserve(draws * rules::kMaxLogprobs);
  }
  output_.seconds.reserve(executables_.size());
  for (std::size_t p = 0; p < programs.size(); ++p) reserve_rows(programs[p], p);
}

void NativeNetwork::compile(const FamilyProgram& of, const ops::ProgramLimits& limits,
                            bool has_schedules) {
  executables_.push_back(backend_->compile(of.program, limits));
  info_.programs.push_back({.name = of.name,
                            .pace = of.pace,
                            .num_parts = of.program.num_parts(),
                            .max_rows = of.max_rows,
                            .uses_cache = uses_cache(of.program, has_schedules),
                            .reads_schedule = has_schedules && reads_schedule(of.program),
                            .emits = of.emits});
}

// Room for the rows that a Program emits.
void NativeNetwork::reserve_rows(const FamilyProgram& of, std::size_t index) {
  for (const ops::Op& op : of.program.ops) {
    const auto* emit = std::get_if<ops::EmitRows>(&op);
    if (emit == nullptr) continue;
    step::RowsOutput& rows = output_.rows.emplace_back();
    rows.program = static_cast<std::int32_t>(index);
    rows.width = of.program.activations[static_cast<std::size_t>(emit->x)].values();
    rows.values.reserve(static_cast<std::size_t>(of.max_rows * rows.width));
  }
}

Ticket NativeNetwork::launch(const step::StepBatch& batch) {
  try {
    queue(batch);
    return backend_->submit();
  } catch (...) {
    backend_->discard();
    throw;
  }
}

void NativeNetwork::queue(const step::StepBatch& batch) {
  TTSRT_CHECK(InternalError, batch.programs.size() == executables_.size(),
              "launch: expected rows of ", executables_.size(), " Programs, got ",
              batch.programs.size());
  for (const step::SlotReset& reset : batch.resets) backend_->reset_slot(reset);
  for (std::size_t p = 0; p < batch.programs.size(); ++p) {
    const step::RowBatch& rows = batch.programs[p];
    if (!rows.copies.empty()) backend_->copy_blocks(rows.copies);
    if (rows.rows > 0) executables_[p]->launch(rows);
  }
}

const step::StepOutput& NativeNetwork::collect(Ticket ticket) {
  backend_->collect(ticket, output_);
  return output_;
}

std::vector<StageTimes> NativeNetwork::stage_times() const {
  std::vector<StageTimes> all;
  for (std::size_t p = 0; p < executables_.size(); ++p) {
    for (StageTimes& times : executables_[p]->stage_times()) {
      times.program = info_.programs[p].name;
      all.push_back(std::move(times));
    }
  }
  return all;
}

}  // namespace ttsrt::model
