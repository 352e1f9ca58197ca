#include "tensorrt/plan_runner.h"

#include <algorithm>

#include "core/check.h"
#include "tensorrt/library.h"

namespace ttsrt::tensorrt {

PlanRunner::PlanRunner(std::string name, std::unique_ptr<Plan> plan, std::vector<RowRange> ranges,
                       Addresses addresses, LaunchNeeds needs, std::byte** scratch,
                       bool keeps_times)
    : name_(std::move(name)),
      plan_(std::move(plan)),
      ranges_(std::move(ranges)),
      addresses_(std::move(addresses)),
      needs_(needs),
      scratch_(scratch),
      keeps_times_(keeps_times) {}

Context* PlanRunner::find(std::int32_t rows) const {
  const auto found = std::find_if(contexts_.begin(), contexts_.end(),
                                  [rows](const Made& made) { return made.rows == rows; });
  return found == contexts_.end() ? nullptr : found->context.get();
}

std::int32_t PlanRunner::range_of(std::int32_t rows) const {
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    if (rows >= ranges_[i].least && rows <= ranges_[i].most) return static_cast<std::int32_t>(i);
  }
  throw InternalError(message("tensorrt: ", name_, ": no profile has ", rows, " rows"));
}

Context& PlanRunner::make(std::int32_t rows, cudaStream_t stream) {
  ContextSettings settings;
  settings.rows = rows;
  settings.profile_index = range_of(rows);
  settings.addresses = addresses_();
  settings.memory = *scratch_;
  settings.stream = stream;
  settings.keeps_times = keeps_times_;
  std::unique_ptr<Context> context = guarded(name_, [&] { return plan_->make_context(settings); });
  const std::lock_guard<std::mutex> lock(mutex_);
  contexts_.push_back({rows, std::move(context)});
  return *contexts_.back().context;
}

void PlanRunner::run(const cuda::Bounds& bounds, cudaStream_t stream) {
  TTSRT_CHECK(InternalError, !needs_.has_single_rows || bounds.has_single_rows, "tensorrt: ", name_,
              ": expected segments of one row");
  TTSRT_CHECK(ConfigError, bounds.passes <= needs_.most_passes, "maskgit: expected at most ",
              needs_.most_passes, " passes on device tensorrt, got ", bounds.passes);
  Context* context = find(bounds.rows);
  if (context == nullptr) context = &make(bounds.rows, stream);
  guarded(name_, [&] { context->enqueue(stream); });
}

bool PlanRunner::has_run(const cuda::Bounds& bounds) const { return find(bounds.rows) != nullptr; }

void PlanRunner::add_times(std::vector<StageTimes>& times) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const Made& made : contexts_) {
    for (const LayerTime& layer : made.context->times()) {
      const auto found = std::find_if(times.begin(), times.end(), [&](const StageTimes& known) {
        return known.stage == layer.name;
      });
      StageTimes& entry = found == times.end() ? times.emplace_back() : *found;
      entry.stage = layer.name;
      entry.runs += layer.runs;
      entry.seconds += layer.seconds;
      entry.busy_seconds += layer.seconds;
    }
  }
}

void check_tensors(const std::string& name, const Plan& plan,
                   const std::vector<Binding>& bindings) {
  const std::vector<BoundTensor> tensors = plan.tensors();
  TTSRT_CHECK(InternalError, tensors.size() == bindings.size(), "tensorrt: ", name, ": expected ",
              bindings.size(), " inputs and outputs, got ", tensors.size());
  for (const Binding& binding : bindings) {
    const bool has = std::any_of(tensors.begin(), tensors.end(), [&](const BoundTensor& of) {
      return of.name == binding.name && of.is_input != binding.is_output &&
             of.type == binding.type && of.dims == binding.dims;
    });
    TTSRT_CHECK(InternalError, has, "tensorrt: ", name, ": the plan has no tensor ", binding.name,
                " of that type and shape");
  }
}

}  // namespace ttsrt::tensorrt
