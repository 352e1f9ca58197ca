#include "common/launches.h"

#include <cstddef>

#include "cuda/launch.h"

namespace ttsrt::plugins {
namespace {

constexpr std::int64_t kTimeWords = sizeof(cuda::LaunchTimes) / sizeof(std::int32_t);
constexpr std::int64_t kDrawWords = sizeof(cuda::DrawResult) / sizeof(std::int32_t);

void check(const char* plugin, const LaunchEndAttributes& at) {
  at.launch.check(plugin);
  at.slots.check(plugin);
  check_is_one_of(plugin, "clear_scores", 0, 1, at.clear_scores);
}

void add_times(Signature& signature) {
  signature.add_input({"given_times", Type::int32, {cuda::kStages, kTimeWords}, true});
}

}  // namespace

BeginLaunch::BeginLaunch(LaunchEndAttributes attributes) : OpOf(std::move(attributes)) {
  check(kName, at_);
  add_rows(signature_);
  at_.launch.add_to(signature_);
  FaultAttributes{}.add_to(signature_, at_.launch);
  add_outcome(signature_, at_.launch, at_.slots);
  if (at_.clear_scores != 0) add_scores(signature_, at_.launch, at_.slots);
  add_times(signature_);
  add_token(signature_);
}

void BeginLaunch::enqueue(const Call& call) const {
  cuda::BeginArgs args;
  args.counts = at_.launch.count(call, cuda::Count::rows);
  auto* times = call.input<cuda::LaunchTimes>("given_times");
  for (std::int32_t stage = 0; stage < cuda::kStages; ++stage) args.times[stage] = times + stage;
  args.faults = call.input<std::uint32_t>("faults");
  args.outcome = outcome_of(call);
  args.scores = call.input<float>("scores");
  args.codebooks = at_.launch.codebooks;
  args.max_text_len = at_.slots.max_text_len;
  args.max_rows = at_.launch.max_rows;
  args.max_draws = at_.launch.most_draws(call.rows());
  cuda::begin_launch(args, call.stream);
}

GiveResults::GiveResults(LaunchEndAttributes attributes) : OpOf(std::move(attributes)) {
  check(kName, at_);
  const std::int64_t draws = at_.launch.draws();
  const std::int64_t codebooks = at_.launch.codebooks > 1 ? at_.launch.codebooks : 1;
  add_rows(signature_);
  at_.launch.add_to(signature_);
  FaultAttributes{}.add_to(signature_, at_.launch);
  add_outcome(signature_, at_.launch, at_.slots);
  add_times(signature_);
  const auto add = [this](const char* name, Type type, std::vector<Extent> shape) {
    shape.insert(shape.begin(), cuda::kStages);
    signature_.add_input({name, type, std::move(shape), true});
  };
  add("given_faults", Type::int32, {at_.launch.max_rows});
  add("given_draws", Type::int32, {draws, kDrawWords});
  add("given_codes", Type::int32, {draws, codebooks});
  add("given_scores", Type::float32, {draws, at_.slots.text_extent()});
  add_token(signature_);
}

void GiveResults::enqueue(const Call& call) const {
  cuda::GiveArgs args;
  const std::int64_t draws = at_.launch.draws();
  for (std::int32_t stage = 0; stage < cuda::kStages; ++stage) {
    cuda::ResultsView& to = args.results[stage];
    to.times = call.input<cuda::LaunchTimes>("given_times") + stage;
    to.faults = call.input<std::uint32_t>("given_faults") + stage * at_.launch.max_rows;
    to.draws = call.input<cuda::DrawResult>("given_draws") + stage * draws;
    to.codes = call.input<std::int32_t>("given_codes") + stage * draws * at_.launch.codebooks;
    to.scores = call.input<float>("given_scores") + stage * draws * at_.slots.max_text_len;
  }
  args.counts = at_.launch.count(call, cuda::Count::rows);
  args.faults = call.input<const std::uint32_t>("faults");
  args.outcome = outcome_of(call);
  args.codebooks = at_.launch.codebooks;
  args.max_text_len = at_.slots.max_text_len;
  args.max_rows = call.rows();
  args.max_draws = at_.launch.most_draws(call.rows());
  cuda::give_results(args, call.stream);
}

}  // namespace ttsrt::plugins
