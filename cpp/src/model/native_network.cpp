#include "model/native_network.h"

#include <algorithm>
#include <iterator>

#include "core/check.h"

namespace ttsrt::model {
namespace {

using step::RowClass;

// Rows of a launch come by class, and a class is the Program of its name.
std::size_t class_of(const std::string& program) {
  const auto* found =
      std::find(std::begin(step::kRowClassNames), std::end(step::kRowClassNames), program);
  TTSRT_CHECK(InternalError, found != std::end(step::kRowClassNames),
              "no rows belong to the program ", program);
  return static_cast<std::size_t>(std::distance(std::begin(step::kRowClassNames), found));
}

}  // namespace

NativeNetwork::NativeNetwork(const EngineData& engine, std::unique_ptr<ops::Backend> backend,
                             const NetworkOptions& options)
    : profile_(options.profile), trace_(options.trace), backend_(std::move(backend)) {
  const Limits& limits = options.limits;
  const Family& family = *engine.family;
  const ops::StateSpec state = family.state(limits, options.state);
  backend_->create_state(state);
  for (const FamilyProgram& program : family.programs(engine.weights, limits, trace_))
    compile(program);

  info_.device = backend_->info().device;
  info_.description = backend_->info().description;
  info_.pipeline_depth = backend_->info().pipeline_depth;
  info_.cache_dtype = options.state.cache_dtype;
  info_.slots = state.slots;
  info_.num_blocks = state.num_blocks;
  info_.block_size = ops::kBlockSize;
  info_.facts = family.facts(limits, engine.voices);
  info_.state_bytes = backend_->state_bytes();
  for (const auto& executable : classes_) {
    if (executable) info_.activation_bytes += executable->activation_bytes();
  }
  const auto draws = static_cast<std::size_t>(limits.max_batch_size);
  output_.draws.reserve(draws);
  output_.codes.reserve(draws * static_cast<std::size_t>(state.codebooks));
  output_.scores.reserve(draws * static_cast<std::size_t>(state.max_text_len));
  output_.seconds.reserve(step::kRowClasses);
}

void NativeNetwork::compile(const FamilyProgram& of) {
  const std::size_t index = class_of(of.name);
  classes_[index] = backend_->compile(
      of.program, {of.max_rows, of.max_draws, trace_, profile_, static_cast<std::int32_t>(index)});
  info_.num_parts[index] = of.program.num_parts();
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
  for (const step::Admission& admission : batch.admissions) backend_->admit(admission);
  for (std::int32_t c = 0; c < step::kRowClasses; ++c) {
    if (static_cast<RowClass>(c) == RowClass::decode && !batch.block_copies.empty())
      backend_->copy_blocks(batch.block_copies);
    const step::RowBatch& rows = batch.classes[c];
    if (rows.rows == 0) continue;
    const auto& executable = classes_[static_cast<std::size_t>(c)];
    TTSRT_CHECK(InternalError, executable != nullptr,
                "launch: rows of a class this model doesn't have: ", c);
    executable->launch(rows);
  }
}

const step::StepOutput& NativeNetwork::collect(Ticket ticket) {
  backend_->collect(ticket, output_);
  return output_;
}

std::vector<StageTimes> NativeNetwork::stage_times() const {
  std::vector<StageTimes> all;
  for (std::size_t c = 0; c < classes_.size(); ++c) {
    if (classes_[c] == nullptr) continue;
    for (StageTimes& times : classes_[c]->stage_times()) {
      times.program = step::kRowClassNames[c];
      all.push_back(std::move(times));
    }
  }
  return all;
}

}  // namespace ttsrt::model
