#include "cuda/executable.h"

#include <algorithm>
#include <variant>

#include "core/check.h"
#include "cuda/launch.h"
#include "cuda/launch_limits.h"
#include "ops/faults.h"
#include "ops/taps.h"
#include "rules/seen.h"

namespace ttsrt::cuda {
namespace {

constexpr std::int32_t kMaxRows = 65535;  // of a grid's second dimension

// The most passes of MaskGit that a draw makes.
std::int32_t most_passes(const step::RowBatch& rows, const std::vector<rules::SlotRules>& rules) {
  std::int32_t most = 0;
  for (const step::Draw& draw : rows.draws) {
    const rules::SlotRules& of = rules[static_cast<std::size_t>(draw.slot)];
    if (of.use_local_transformer) most = std::max(most, of.maskgit.steps);
  }
  return most;
}

}  // namespace

Compiled::Compiled(const ops::Program& program, const ops::ProgramLimits& limits,
                   DeviceSlots& slots, DeviceWeights& weights, DeviceMemory::Mode mode,
                   Lowerer* lowerer)
    : program_(program),
      limits_(limits),
      slots_(slots),
      needs_((ops::check_program(program, slots.spec()),
              ops::needs_of(program_, limits, slots.spec()))),
      memory_(mode),
      faults_(memory_.take<std::uint32_t>(static_cast<std::size_t>(limits.max_rows), "rows")),
      rows_(row_limits(program_, limits_, needs_, slots.spec()), memory_) {
  TTSRT_CHECK(InternalError, limits.max_rows > 0 && limits.max_draws >= 0, program.name, ": ",
              limits.max_rows, " rows, ", limits.max_draws, " draws");
  TTSRT_CHECK(ConfigError, limits.max_rows <= kMaxRows, program.name, ": expected at most ",
              kMaxRows, " rows in a launch on a GPU, got ", limits.max_rows,
              "; lower max_num_tokens");
  for (const ops::Op& op : program_.ops) {
    if (const auto* finish = std::get_if<ops::FinishStep>(&op)) finish_ = *finish;
    finishes_blocks_ |= std::holds_alternative<ops::FinishBlock>(op);
    convolves_ |= std::holds_alternative<ops::TimeConv>(op);
  }
  bounds_limits_ = bounds_limits(program_, limits_, needs_, slots.spec());
  for (ops::BatchNeeds::Embedding& of : needs_.embeddings) of.takes_device_vectors = true;
  slots.make_room(limits.max_draws);
  const Site site{slots, weights, memory_, rows_.view(), faults_, &scratch_};
  lowered_ = lowerer != nullptr && lowerer->takes(program_)
                 ? lowerer->lower(program_, limits_, site)
                 : Lowering(program_, limits_, site).run();
  scratch_ = memory_.take_bytes_of(lowered_.scratch_bytes, "scratch");
  if (mode == DeviceMemory::Mode::count) return;
  for (std::int32_t stage = 0; stage < kStages; ++stage) {
    InFlight& launch =
        launches_.emplace_back(LaunchResults(slots.spec(), limits.max_rows, limits.max_draws));
    if (lowered_.emitted != ops::kNoBuffer)
      launch.emitted = PinnedBuffer(
          static_cast<std::size_t>(limits.max_rows * row_values(lowered_.emitted)) * sizeof(float));
    if (!limits.profile) continue;
    launch.begin = make_event();
    for (std::size_t i = 0; i < lowered_.steps.size(); ++i)
      launch.step_ends.push_back(make_event());
  }
  sums_ = std::vector<StageSum>(lowered_.steps.size());
  copies_.resize(program_.activations.size());
}

void Compiled::check(const step::RowBatch& rows) const {
  ops::check_batch(rows, needs_, slots_.spec());
  for (const step::Draw& draw : rows.draws) {
    TTSRT_CHECK(InternalError, draw.ahead <= slots_.spec().max_drawn, "draw of slot ", draw.slot,
                ": expected at most ", slots_.spec().max_drawn, " drafts, got ", draw.ahead);
  }
}

std::int32_t Compiled::open_launch() {
  const std::int32_t index = next_launch_;
  TTSRT_CHECK(InternalError, !launches_[static_cast<std::size_t>(index)].is_open, program_.name,
              ": ", kStages, " launches are on their way already");
  next_launch_ = (index + 1) % kStages;
  launches_[static_cast<std::size_t>(index)].is_open = true;
  return index;
}

void Compiled::prepare(cudaStream_t stream) {
  if (limits_.profile) return;  // stages are launched one by one
  const std::vector<Bounds> all = usual_bounds(bounds_limits_);
  graphs_.reserve(all.size());
  const auto last = static_cast<std::int32_t>(lowered_.steps.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    try {
      if (!can_capture(all[i], 0, last)) run_empty(all[i], stream);
      cuda::check(cudaGraphUpload(graph_of(all[i], 0, last, stream).get(), stream),
                  "cudaGraphUpload");
    } catch (const CapacityError& problem) {
      throw CapacityError(message(program_.name, ": graph ", i + 1, " of ", all.size(),
                                  ", for launches of ", all[i].rows, " rows: ", problem.what()));
    }
  }
}

bool Compiled::can_capture(const Bounds& bounds, std::int32_t first, std::int32_t last) const {
  return std::all_of(lowered_.steps.begin() + first, lowered_.steps.begin() + last,
                     [&bounds](const Step& step) {
                       return step.can_capture == nullptr || step.can_capture(bounds);
                     });
}

// A launch of no rows: kernels leave at once, and state stays as it is.
void Compiled::run_empty(const Bounds& bounds, cudaStream_t stream) {
  cuda::check(
      cudaMemsetAsync(const_cast<std::int32_t*>(rows_.view().counts), 0,
                      static_cast<std::size_t>(Count::num_counts) * sizeof(std::int32_t), stream),
      "cudaMemsetAsync");
  run_steps(bounds, 0, static_cast<std::int32_t>(lowered_.steps.size()), stream);
}

// Stacks of another size than the Program's can't be finished, and seen sets know no drafts.
void Compiled::check_rules(const step::RowBatch& rows,
                           const std::vector<rules::SlotRules>& rules) const {
  for (const step::Draw& draw : rows.draws) {
    const rules::SlotRules& of = rules[static_cast<std::size_t>(draw.slot)];
    TTSRT_CHECK(InternalError, !finishes_blocks_ || of.block.steps > 0, "slot ", draw.slot,
                ": expected rules of a block");
    TTSRT_CHECK(InternalError, draw.ahead == 0 || !rules::counts_seen(of.sampler),
                "seen sets: expected no drafts, got a draw behind ", draw.ahead);
    TTSRT_CHECK(InternalError,
                finish_.codebooks == 0 || (of.frame_stacking == finish_.frame_stacking &&
                                           of.codebooks * of.frame_stacking == finish_.codebooks),
                "slot ", draw.slot, ": expected ", finish_.codebooks, " codes in ",
                finish_.frame_stacking, " frames, got ", of.codebooks, " in each of ",
                of.frame_stacking);
  }
}

std::int32_t Compiled::step_at(std::int32_t part) const {
  if (part >= program_.num_parts()) return static_cast<std::int32_t>(lowered_.steps.size());
  return lowered_.part_steps[static_cast<std::size_t>(part)];
}

std::int32_t Compiled::launch(const step::RowBatch& rows, const KnownSlots& slots,
                              cudaStream_t stream) {
  check_rules(rows, slots.rules);
  const std::int32_t index = open_launch();
  try {
    queue(rows, slots, index, stream);
  } catch (...) {
    close(index);
    throw;
  }
  return index;
}

void Compiled::queue(const step::RowBatch& rows, const KnownSlots& slots, std::int32_t index,
                     cudaStream_t stream) {
  InFlight& launch = launches_[static_cast<std::size_t>(index)];
  launch.rows = rows.rows;
  launch.taps.clear();
  LaunchCounts counts = rows_.copy(rows, uses_of(slots), index, stream);
  launch.results.start(counts);
  counts.passes = most_passes(rows, slots.rules);
  run_parts(bounds_of(counts, bounds_limits_), rows, launch, stream);
  launch.has_emitted = lowered_.emitted != ops::kNoBuffer && rows.returns_rows &&
                       rows.last_part >= program_.num_parts();
  if (launch.has_emitted) queue_emitted(launch, stream);
  if (limits_.trace) keep_taps(rows, launch, stream);
}

void Compiled::begin(const Bounds& bounds, std::int32_t first, cudaStream_t stream) const {
  BeginArgs args;
  for (std::int32_t stage = 0; stage < kStages; ++stage)
    args.times[stage] = launches_[static_cast<std::size_t>(stage)].results.view().times;
  args.counts = rows_.view().counts;
  args.starts = first == 0;
  args.faults = faults_;
  args.outcome = *slots_.outcome();
  args.scores = lowered_.cleared_scores;
  args.codebooks = slots_.spec().codebooks;
  args.max_text_len = slots_.spec().max_text_len;
  args.max_rows = limits_.max_rows;
  args.max_draws = bounds.draws;
  begin_launch(args, stream);
}

void Compiled::give(const Bounds& bounds, cudaStream_t stream) const {
  GiveArgs args;
  for (std::int32_t stage = 0; stage < kStages; ++stage)
    args.results[stage] = launches_[static_cast<std::size_t>(stage)].results.view();
  args.counts = rows_.view().counts;
  args.faults = faults_;
  args.outcome = *slots_.outcome();
  args.codebooks = slots_.spec().codebooks;
  args.max_text_len = slots_.spec().max_text_len;
  args.max_rows = bounds.rows;
  args.max_draws = bounds.draws;
  give_results(args, stream);
}

void Compiled::queue_emitted(InFlight& launch, cudaStream_t stream) {
  const std::int64_t width = row_values(lowered_.emitted);
  cuda::check(cudaMemcpyAsync(launch.emitted.as<float>(),
                              lowered_.activations[static_cast<std::size_t>(lowered_.emitted)],
                              static_cast<std::size_t>(launch.rows * width) * sizeof(float),
                              cudaMemcpyDeviceToHost, stream),
              "cudaMemcpyAsync");
}

// All steps of a Program are a whole launch, which begins and gives its results.
void Compiled::run_steps(const Bounds& bounds, std::int32_t first, std::int32_t last,
                         cudaStream_t stream) {
  const bool is_whole = first == 0 && last == static_cast<std::int32_t>(lowered_.steps.size());
  if (is_whole) begin(bounds, first, stream);
  for (std::int32_t i = first; i < last; ++i)
    lowered_.steps[static_cast<std::size_t>(i)].run(bounds, stream);
  if (is_whole) give(bounds, stream);
}

// A Program that runs whole is one graph, others are one for each part: where they stop differs
// from launch to launch. Their begin and their results stand beside these graphs.
void Compiled::run_parts(const Bounds& bounds, const step::RowBatch& rows, InFlight& launch,
                         cudaStream_t stream) {
  const std::int32_t last_part = std::min(rows.last_part, program_.num_parts());
  if (limits_.profile)
    return run_profiled(bounds, step_at(rows.first_part), step_at(last_part), launch, stream);
  if (rows.first_part == 0 && last_part == program_.num_parts())
    return run_graph(bounds, 0, step_at(last_part), stream);
  begin(bounds, step_at(rows.first_part), stream);
  for (std::int32_t part = rows.first_part; part < last_part; ++part)
    run_graph(bounds, step_at(part), step_at(part + 1), stream);
  give(bounds, stream);
}

// The first step has the time of the kernel that begins the launch, too.
void Compiled::run_profiled(const Bounds& bounds, std::int32_t first, std::int32_t last,
                            InFlight& launch, cudaStream_t stream) {
  cuda::check(cudaEventRecord(launch.begin.get(), stream), "cudaEventRecord");
  begin(bounds, first, stream);
  for (std::int32_t i = first; i < last; ++i) {
    lowered_.steps[static_cast<std::size_t>(i)].run(bounds, stream);
    cuda::check(cudaEventRecord(launch.step_ends[static_cast<std::size_t>(i)].get(), stream),
                "cudaEventRecord");
  }
  give(bounds, stream);
}

// Where there is no memory for a graph that was not prepared, its kernels are launched one by one,
// and so are those of a step that has to run once before it can be captured.
void Compiled::run_graph(const Bounds& bounds, std::int32_t first, std::int32_t last,
                         cudaStream_t stream) {
  if (!can_capture(bounds, first, last)) return run_steps(bounds, first, last, stream);
  try {
    cuda::check(cudaGraphLaunch(graph_of(bounds, first, last, stream).get(), stream),
                "cudaGraphLaunch");
  } catch (const CapacityError&) {
    run_steps(bounds, first, last, stream);
  }
}

const Graph& Compiled::graph_of(const Bounds& bounds, std::int32_t first, std::int32_t last,
                                cudaStream_t stream) {
  for (const Captured& known : graphs_) {
    if (known.bounds == bounds && known.first_step == first && known.last_step == last &&
        known.room == slots_.max_draws())
      return known.graph;
  }
  Captured captured;
  captured.bounds = bounds;
  captured.first_step = first;
  captured.last_step = last;
  captured.room = slots_.max_draws();
  // With more rows, attention and sampling are faster with what the split leaves to the L1 cache.
  // Convolutions over time ask for their split themselves.
  constexpr std::int32_t kMostRows = 4;
  captured.graph = capture(stream, bounds.rows <= kMostRows && !convolves_ && !lowered_.is_foreign,
                           [&, this] { run_steps(bounds, first, last, stream); });
  graphs_.push_back(std::move(captured));
  return graphs_.back().graph;
}

void Compiled::keep_taps(const step::RowBatch& rows, InFlight& launch, cudaStream_t stream) {
  step::StepOutput kept;
  const auto values_of = [this, stream](ops::BufferId buffer) {
    return activation(buffer, stream);
  };
  ops::append_taps(program_, limits_.index, rows, values_of, kept);
  launch.taps = std::move(kept.taps);
}

void Compiled::finish(std::int32_t index, step::StepOutput& output) {
  InFlight& launch = launches_[static_cast<std::size_t>(index)];
  output.seconds[static_cast<std::size_t>(limits_.index)] += launch.results.seconds();
  launch.results.read_draws(output);
  const std::uint32_t* words = launch.results.faults();
  for (std::int32_t row = 0; row < launch.rows; ++row) {
    if (words[row] == kNoFault) continue;
    step::Fault fault = ops::fault_of(program_, words[row]);
    fault.program = limits_.index;
    fault.row = row;
    output.faults.push_back(fault);
  }
  if (launch.has_emitted) read_emitted(launch, output);
  for (step::TapOutput& tap : launch.taps) output.taps.push_back(std::move(tap));
  launch.taps.clear();
  if (limits_.profile) add_step_times(launch);
}

// Into memory that the output has from earlier launches.
void Compiled::read_emitted(const InFlight& launch, step::StepOutput& output) const {
  const auto found =
      std::find_if(output.rows.begin(), output.rows.end(),
                   [this](const step::RowsOutput& rows) { return rows.program == limits_.index; });
  step::RowsOutput& rows = found == output.rows.end() ? output.rows.emplace_back() : *found;
  rows.program = limits_.index;
  rows.width = row_values(lowered_.emitted);
  const auto* values = launch.emitted.as<float>();
  rows.values.assign(values, values + launch.rows * rows.width);
}

void Compiled::close(std::int32_t launch) {
  launches_[static_cast<std::size_t>(launch)].is_open = false;
}

void Compiled::add_step_times(InFlight& launch) {
  cudaEvent_t before = launch.begin.get();
  for (std::size_t i = 0; i < sums_.size(); ++i) {
    float milliseconds = 0.0F;
    const cudaEvent_t end = launch.step_ends[i].get();
    if (cudaEventElapsedTime(&milliseconds, before, end) != cudaSuccess || milliseconds < 0.0F) {
      static_cast<void>(cudaGetLastError());  // a step of a part that did not run
      continue;
    }
    before = end;
    const double seconds = sums_[i].seconds.load(std::memory_order_relaxed) + 1e-3 * milliseconds;
    sums_[i].seconds.store(seconds, std::memory_order_relaxed);
    sums_[i].runs.fetch_add(1, std::memory_order_relaxed);
  }
}

std::vector<StageTimes> Compiled::stage_times() const {
  if (limits_.profile && lowered_.stage_times != nullptr) return lowered_.stage_times();
  std::vector<StageTimes> times;
  for (std::size_t i = 0; limits_.profile && i < sums_.size(); ++i) {
    if (sums_[i].runs == 0) continue;
    const std::string& label = lowered_.steps[i].label;
    const auto found = std::find_if(times.begin(), times.end(), [&label](const StageTimes& known) {
      return known.stage == label;
    });
    StageTimes& entry = found == times.end() ? times.emplace_back() : *found;
    entry.stage = label;
    const double seconds = sums_[i].seconds.load(std::memory_order_relaxed);
    entry.runs += sums_[i].runs.load(std::memory_order_relaxed);
    entry.seconds += seconds;
    entry.busy_seconds += seconds;
  }
  return times;
}

const float* Compiled::activation(ops::BufferId buffer, cudaStream_t stream) {
  const auto index = static_cast<std::size_t>(buffer);
  TTSRT_CHECK(InternalError, buffer >= 0 && index < copies_.size(), program_.name, ": buffer ",
              buffer, " of ", copies_.size());
  const ops::Activation& of = program_.activations[index];
  TTSRT_CHECK(InternalError, lowered_.activations[index] != nullptr, program_.name, ": ", of.name,
              ": it is kept nowhere");
  const std::int64_t rows =
      of.space == ops::RowSpace::rows ? limits_.max_rows : std::max(limits_.max_draws, 1);
  std::vector<float>& copy = copies_[index];
  copy.resize(static_cast<std::size_t>(rows * of.values()));
  cuda::check(cudaMemcpyAsync(copy.data(), lowered_.activations[index], copy.size() * sizeof(float),
                              cudaMemcpyDeviceToHost, stream),
              "cudaMemcpyAsync");
  cuda::check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  return copy.data();
}

}  // namespace ttsrt::cuda
