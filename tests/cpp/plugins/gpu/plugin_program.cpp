#include "plugin_program.h"

#include <algorithm>
#include <variant>

#include "cuda/check.h"
#include "cuda/launch.h"
#include "cuda/launch_limits.h"
#include "ops/faults.h"

namespace ttsrt::plugins::test {
namespace {

cuda::RowLimits row_limits(const ops::Program& program, const ops::ProgramLimits& limits,
                           const ops::BatchNeeds& needs, const ops::StateSpec& spec) {
  cuda::RowLimits of;
  of.max_rows = limits.max_rows;
  of.max_draws = limits.max_draws;
  of.max_blocks = needs.uses_cache ? ops::most_blocks(spec) : 0;
  of.codebooks = spec.codebooks;
  of.has_items = cuda::asks_for_items(program);
  of.tiles = cuda::item_tiles_of(limits);
  for (const ops::Op& op : program.ops) {
    const auto* embed = std::get_if<ops::EmbedRows>(&op);
    if (embed == nullptr) continue;
    of.code_width = std::max(of.code_width, embed->codebooks);
    of.dim = std::max(of.dim, program.activations[static_cast<std::size_t>(embed->out)].width);
  }
  return of;
}

// The fields that say the sizes of launches and slots.
Fields common_fields(const cuda::RowLimits& rows, const ops::StateSpec& spec) {
  return {number("max_rows", rows.max_rows),
          number("max_draws", rows.max_draws),
          number("max_blocks", rows.max_blocks),
          number("codebooks", rows.codebooks),
          number("code_width", rows.code_width),
          number("max_segments", rows.has_items ? rows.tiles.max_segments : 0),
          number("slots", spec.slots),
          number("max_text_len", spec.max_text_len),
          number("seen_vocab", spec.seen_vocab),
          number("max_context_rows", spec.max_context_rows),
          number("dim", spec.dim)};
}

Addresses slot_addresses(const cuda::SlotsView& slots, const cuda::OutcomeView& outcome) {
  return {{"slot_rules", slots.rules},    {"slot_states", slots.states},
          {"visit_counts", slots.counts}, {"last_codes", slots.last_codes},
          {"seen_codes", slots.seen},     {"context_rows", slots.context_rows},
          {"sampled", outcome.sampled},   {"likeliest", outcome.likeliest},
          {"alignment", outcome.scores},  {"results", outcome.results}};
}

}  // namespace

PluginProgram::PluginProgram(const ops::Program& program, const ops::ProgramLimits& limits,
                             cuda::DeviceSlots& slots, cuda::DeviceWeights& weights,
                             const PluginSetup& setup)
    : program_(program),
      limits_(limits),
      is_captured_(setup.is_captured),
      slots_(slots),
      needs_((ops::check_program(program, slots.spec()),
              ops::needs_of(program_, limits, slots.spec()))),
      memory_(setup.mode),
      rows_(row_limits(program_, limits_, needs_, slots.spec()), memory_),
      faults_(memory_.take<std::uint32_t>(static_cast<std::size_t>(limits.max_rows), "rows")) {
  take_activations();
  BoundPlugin::Common all = common(*setup.harness);
  const PluginSite site{all,          slots_,  weights,          memory_,           buffers_,
                        rows_.view(), faults_, limits_.max_rows, limits_.max_draws, is_captured_};
  PluginLowering lowering(program_, site);
  std::vector<PluginStep> body = lowering.run();
  plugins_ = lowering.plugins();
  const auto add = [&](const PluginCall& call) {
    plugins_.push_back(std::make_shared<const BoundPlugin>(call, all, memory_));
    steps_.emplace_back([plugin = plugins_.back()](const LaunchShape& shape, cudaStream_t stream) {
      plugin->enqueue(shape.rows, stream);
    });
  };
  PluginCall begin{"BeginLaunch", {}, {}};
  if (lowering.cleared_scores().has_value()) {
    begin.fields.push_back(number("clear_scores", 1));
    begin.addresses["scores"] = *lowering.cleared_scores();
  }
  add(begin);
  std::move(body.begin(), body.end(), std::back_inserter(steps_));
  add({"GiveResults", {}, {}});
}

std::vector<std::string> PluginProgram::configure(std::int32_t rows) const {
  std::vector<std::string> kinds;
  for (const auto& plugin : plugins_) {
    plugin->configure(rows);
    kinds.push_back(plugin->kind());
  }
  return kinds;
}

// Activations begin as NaN, so that what an op leaves unwritten is seen.
void PluginProgram::take_activations() {
  for (const ops::Activation& activation : program_.activations) {
    const auto bytes =
        static_cast<std::size_t>(rows_of(activation) * activation.values()) * sizeof(float);
    std::byte* at = memory_.take_bytes_of(bytes, "activations");
    if (!memory_.counts_only()) cuda::check(cudaMemset(at, 0xFF, bytes), "cudaMemset");
    buffers_.push_back(reinterpret_cast<float*>(at));
    activation_bytes_ += bytes;
  }
  copies_.resize(program_.activations.size());
}

// The outcome is as large as the largest Program's; those that are compiled later need no more.
BoundPlugin::Common PluginProgram::common(const Harness& harness) {
  slots_.make_room(draws());
  const ops::StateSpec& spec = slots_.spec();
  Addresses addresses = slot_addresses(slots_.view(), *slots_.outcome());
  addresses["launch"] = rows_.view().counts;
  addresses["vectors"] = rows_.view().vectors;
  addresses["faults"] = faults_;
  addresses["schedule"] = slots_.view().schedule;
  addresses["rows"] = memory_.take<std::int32_t>(static_cast<std::size_t>(limits_.max_rows), "R");
  addresses["token"] = memory_.take<std::int32_t>(1, "the token");
  take_given(addresses);
  const cuda::RowLimits limits = row_limits(program_, limits_, needs_, spec);
  return {
      harness, common_fields(limits, spec), std::move(addresses), {spec.slots, limits_.max_rows}};
}

void PluginProgram::take_given(Addresses& addresses) {
  const ops::StateSpec& spec = slots_.spec();
  const auto take = [&](const char* name, std::int64_t bytes) {
    const std::int64_t both = cuda::kStages * std::max<std::int64_t>(bytes, 4);
    cuda::PinnedBuffer buffer(memory_.counts_only() ? 0 : static_cast<std::size_t>(both));
    addresses[name] = buffer.on_device<void>();
    return buffer;
  };
  given_.times = take("given_times", sizeof(cuda::LaunchTimes));
  given_.faults = take("given_faults", std::int64_t{limits_.max_rows} * 4);
  given_.draws = take("given_draws", draws() * std::int64_t{sizeof(cuda::DrawResult)});
  given_.codes = take("given_codes", std::int64_t{draws()} * spec.codebooks * 4);
  given_.scores = take("given_scores", std::int64_t{draws()} * spec.max_text_len * 4);
}

void PluginProgram::check(const step::RowBatch& rows) const {
  ops::check_batch(rows, needs_, slots_.spec());
}

void PluginProgram::launch(const step::RowBatch& rows, const std::vector<rules::SlotRules>& rules,
                           cudaStream_t stream) {
  stage_ = (stage_ + 1) % cuda::kStages;
  const cuda::SlotUses uses{
      [&rules](std::int32_t slot) {
        return rules[static_cast<std::size_t>(slot)].use_local_transformer;
      },
      [&rules](std::int32_t slot) { return rules[static_cast<std::size_t>(slot)].keep_scores; }};
  const cuda::LaunchCounts counts = rows_.copy(rows, uses, stage_, stream);
  launched_rows_ = counts.rows;
  launched_draws_ = counts.draws;
  keeps_scores_ = counts.keeps_scores;
  LaunchShape shape{counts.rows, counts.has_single_rows};
  if (!is_captured_) return run_steps(shape, stream);
  std::int32_t extent = 1;
  while (extent < shape.rows) extent *= 2;
  shape.rows = std::min(extent, limits_.max_rows);
  run_graph(shape, stream);
}

void PluginProgram::run_steps(const LaunchShape& shape, cudaStream_t stream) const {
  for (const PluginStep& step : steps_) step(shape, stream);
}

void PluginProgram::run_graph(const LaunchShape& shape, cudaStream_t stream) {
  auto known = std::find_if(graphs_.begin(), graphs_.end(),
                            [&shape](const Captured& of) { return of.shape == shape; });
  if (known == graphs_.end()) {
    graphs_.push_back({shape, cuda::capture(stream, false, [&] { run_steps(shape, stream); })});
    known = graphs_.end() - 1;
  }
  cuda::check(cudaGraphLaunch(known->graph.get(), stream), "cudaGraphLaunch");
}

void PluginProgram::finish(step::StepOutput& output) const {
  const ops::StateSpec& spec = slots_.spec();
  const auto index = static_cast<std::size_t>(limits_.index);
  if (output.seconds.size() <= index) output.seconds.resize(index + 1);
  const cuda::LaunchTimes times = given_.times.as<cuda::LaunchTimes>()[stage_];
  TTSRT_CHECK(InternalError, times.end >= times.begin && times.begin > 0, program_.name,
              ": BeginLaunch and GiveResults told no times");
  output.seconds[index] += 1e-9 * static_cast<double>(times.end - times.begin);
  const std::uint32_t* words = given_.faults.as<std::uint32_t>() + stage_ * limits_.max_rows;
  for (std::int32_t row = 0; row < launched_rows_; ++row) {
    if (words[row] == cuda::kNoFault) continue;
    step::Fault fault = ops::fault_of(program_, words[row]);
    fault.program = limits_.index;
    fault.row = row;
    output.faults.push_back(fault);
  }
  if (launched_draws_ == 0) return;
  const std::int64_t first = std::int64_t{stage_} * draws();
  const std::int32_t* codes = given_.codes.as<std::int32_t>() + first * spec.codebooks;
  output.codes.assign(codes, codes + std::int64_t{launched_draws_} * spec.codebooks);
  const cuda::DrawResult* results = given_.draws.as<cuda::DrawResult>() + first;
  for (std::int32_t d = 0; d < launched_draws_; ++d) {
    const cuda::DrawResult& result = results[d];
    if (result.slot < 0) continue;  // no FinishStep
    output.draws.push_back(
        {result.slot, result.end_frame, result.focus, result.has_codes != 0, result.final_rows});
  }
  const float* scores = given_.scores.as<float>() + first * spec.max_text_len;
  if (keeps_scores_)
    output.scores.assign(scores, scores + std::int64_t{launched_draws_} * spec.max_text_len);
}

const float* PluginProgram::activation(ops::BufferId buffer) const {
  const auto index = static_cast<std::size_t>(buffer);
  const ops::Activation& of = program_.activations.at(index);
  std::vector<float>& copy = copies_[index];
  copy.resize(static_cast<std::size_t>(rows_of(of) * of.values()));
  cuda::check(
      cudaMemcpy(copy.data(), buffers_[index], copy.size() * sizeof(float), cudaMemcpyDeviceToHost),
      "cudaMemcpy");
  return copy.data();
}

}  // namespace ttsrt::plugins::test
