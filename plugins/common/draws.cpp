#include "common/draws.h"

#include "cuda/launch.h"

namespace ttsrt::plugins {
namespace {

// The arguments that all launchers of draws take.
template <class Args>
Args draw_args(const DrawAttributes& at, const Call& call) {
  Args args;
  args.rows = at.launch.view(call);
  args.slots = at.slots.view(call, at.launch);
  args.outcome = outcome_of(call);
  if constexpr (requires { args.faults; }) args.faults = at.faults.view(call);
  args.max_draws = at.launch.most_draws(call.rows());
  return args;
}

void add_draws(Signature& signature, const DrawAttributes& at) {
  at.launch.add_to(signature);
  at.slots.add_to(signature, at.launch);
  add_outcome(signature, at.launch, at.slots);
}

}  // namespace

ClearScores::ClearScores(DrawAttributes attributes) : OpOf(std::move(attributes)) {
  at_.check(kName);
  add_rows(signature_);
  at_.launch.add_to(signature_);
  add_scores(signature_, at_.launch, at_.slots);
  add_token(signature_);
}

void ClearScores::enqueue(const Call& call) const {
  cuda::clear_scores(at_.launch.view(call), call.input<float>("scores"), at_.slots.max_text_len,
                     at_.launch.most_draws(call.rows()), call.stream);
}

PriorUpdate::PriorUpdate(DrawAttributes attributes) : OpOf(std::move(attributes)) {
  at_.check(kName);
  add_rows(signature_);
  add_draws(signature_, at_);
  at_.faults.add_to(signature_, at_.launch);
  add_scores(signature_, at_.launch, at_.slots);
  add_token(signature_);
}

void PriorUpdate::enqueue(const Call& call) const {
  auto args = draw_args<cuda::UpdatePriorArgs>(at_, call);
  args.scores = call.input<const float>("scores");
  cuda::update_prior(args, call.stream);
}

FinishStep::FinishStep(DrawAttributes attributes) : OpOf(std::move(attributes)) {
  at_.check(kName);
  add_rows(signature_);
  add_draws(signature_, at_);
  add_token(signature_);
}

void FinishStep::enqueue(const Call& call) const {
  cuda::finish_step(draw_args<cuda::FinishStepArgs>(at_, call), call.stream);
}

GuidedSample::GuidedSample(GuidedSampleAttributes attributes) : OpOf(std::move(attributes)) {
  at_.check(kName);
  check_at_least(kName, "codebooks", 1, at_.launch.codebooks);
  check_is_one_of(kName, "vocab", 1, cuda::kMaxDrawnVocab, at_.vocab);
  check_is_one_of(kName, "keep_guided", 0, 1, at_.keep_guided);
  const std::int64_t width = std::int64_t{at_.launch.codebooks} * at_.vocab;
  signature_.add_input({"logits", Type::float32, {'R', width}});
  add_draws(signature_, at_);
  at_.faults.add_to(signature_, at_.launch);
  if (at_.keep_guided != 0)
    signature_.add_input({"guided", Type::float32, {at_.launch.draws(), width}, true});
  add_token(signature_);
}

std::size_t GuidedSample::workspace_bytes() const {
  return cuda::draw_scratch_bytes(at_.launch.draws() * at_.launch.codebooks, at_.vocab);
}

void GuidedSample::enqueue(const Call& call) const {
  auto args = draw_args<cuda::SampleArgs>(at_, call);
  args.logits = call.input<const float>("logits");
  args.guided = call.input<float>("guided");
  args.vocab = at_.vocab;
  args.scratch = call.workspace();
  cuda::sample_codes(args, call.stream);
}

}  // namespace ttsrt::plugins
