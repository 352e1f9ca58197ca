#include "cuda/launch_results.h"

#include <iterator>

namespace ttsrt::cuda {

LaunchResults::LaunchResults(const ops::StateSpec& spec, std::int32_t max_rows,
                             std::int32_t max_draws)
    : max_rows_(max_rows),
      max_draws_(max_draws),
      codebooks_(spec.codebooks),
      max_text_len_(spec.max_text_len),
      max_logprobs_(spec.max_drawn > 0 ? max_draws : 0) {
  static_assert(sizeof(float) == sizeof(std::int32_t));
  const std::int64_t words = max_rows_ + max_draws_ * (codebooks_ + max_text_len_);
  memory_ =
      PinnedBuffer(sizeof(LaunchTimes) + static_cast<std::size_t>(max_draws_) * sizeof(DrawResult) +
                   static_cast<std::size_t>(max_logprobs_) * sizeof(DrawLogprobs) +
                   static_cast<std::size_t>(words) * sizeof(std::int32_t));
}

ResultsView LaunchResults::view_at(std::byte* memory) const {
  ResultsView view;
  view.times = reinterpret_cast<LaunchTimes*>(memory);
  view.draws = reinterpret_cast<DrawResult*>(view.times + 1);
  view.logprobs = reinterpret_cast<DrawLogprobs*>(view.draws + max_draws_);
  view.codes = reinterpret_cast<std::int32_t*>(view.logprobs + max_logprobs_);
  view.scores = reinterpret_cast<float*>(view.codes + max_draws_ * codebooks_);
  view.faults = reinterpret_cast<std::uint32_t*>(view.scores + max_draws_ * max_text_len_);
  return view;
}

// A clock may stand still for a microsecond, and 0 would say that nothing has run.
double LaunchResults::seconds() const {
  const LaunchTimes times = *view_at(memory_.as<std::byte>()).times;
  return times.end > times.begin ? 1e-9 * static_cast<double>(times.end - times.begin) : 1e-9;
}

void LaunchResults::read_draws(step::StepOutput& output) const {
  if (draws_ == 0) return;
  const ResultsView view = view_at(memory_.as<std::byte>());
  output.codes.assign(view.codes, view.codes + draws_ * codebooks_);
  output.draws.clear();
  for (std::int64_t d = 0; d < draws_; ++d) {
    const DrawResult& result = view.draws[d];
    if (result.slot < 0) continue;  // the Program has no step that finishes draws
    step::DrawOutput draw;
    draw.slot = result.slot;
    draw.end_frame = result.end_frame;
    draw.focus = result.focus;
    draw.has_codes = result.has_codes != 0;
    draw.final_rows = result.final_rows;
    output.draws.push_back(draw);
  }
  output.scores.clear();
  if (keeps_scores_) output.scores.assign(view.scores, view.scores + draws_ * max_text_len_);
  if (tells_logprobs_) read_logprobs(view.logprobs, output);
}

void LaunchResults::read_logprobs(const DrawLogprobs* from, step::StepOutput& output) const {
  for (std::int64_t d = 0; d < draws_; ++d) {
    const DrawLogprobs& of = from[d];
    output.logprobs.push_back(of.drawn);
    output.likeliest_ids.insert(output.likeliest_ids.end(), std::begin(of.ids), std::end(of.ids));
    output.likeliest_logprobs.insert(output.likeliest_logprobs.end(), std::begin(of.likeliest),
                                     std::end(of.likeliest));
  }
}

}  // namespace ttsrt::cuda
