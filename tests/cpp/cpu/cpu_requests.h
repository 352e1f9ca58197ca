// Whole requests of the small model, step by step, for every backend that is compared with the
// reference: codes, ends and focuses are equal, activations are close.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string>
#include <vector>

#include "cpu_model.h"

namespace ttsrt::test {

inline void expect_equal_draws(const step::StepOutput& expected, const step::StepOutput& got,
                               const std::string& what) {
  EXPECT_EQ(got.codes, expected.codes) << what;
  ASSERT_EQ(got.draws.size(), expected.draws.size()) << what;
  for (std::size_t d = 0; d < got.draws.size(); ++d) {
    EXPECT_EQ(got.draws[d].slot, expected.draws[d].slot) << what;
    EXPECT_EQ(got.draws[d].end_frame, expected.draws[d].end_frame) << what;
    EXPECT_EQ(got.draws[d].focus, expected.draws[d].focus) << what;
  }
  ASSERT_EQ(got.scores.size(), expected.scores.size()) << what;
  EXPECT_LE(distance(expected.scores.data(), got.scores.data(),
                     static_cast<std::int64_t>(got.scores.size())),
            1e-2F)
      << what;
}

// `open` makes the pair for the state of the requests' model.
inline void run_requests(const PairOpener& open, const ModelShape& shape, DType cache_dtype,
                         const std::vector<SmallRequest>& requests, std::int32_t steps,
                         float tolerance) {
  const auto slots = static_cast<std::int32_t>(requests.size());
  const SmallModel model(shape);
  Pair pair = open(SmallModel::state(cache_dtype, slots));
  PairExecutable encoder(pair, model.encoder, traced(100));
  PairExecutable prefill(pair, model.prefill, traced(100));
  PairExecutable decode(pair, model.decode, traced(2 * slots, slots));
  TestBatch text;
  TestBatch context;
  for (const SmallRequest& request : requests) {
    step::SlotReset reset;
    reset.slot = request.slot;
    reset.rules = request.rules;
    pair.reset_slot(reset);
    request.add_text(text);
    request.add_context(context);
  }
  encoder.run(text.batch, tolerance, "encoder");
  prefill.run(context.batch, tolerance, "prefill");
  for (std::int32_t step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
    TestBatch batch;
    for (const SmallRequest& request : requests) request.add_step(batch, step);
    const std::string what = "step " + std::to_string(step);
    decode.run(batch.batch, tolerance, what);
    expect_equal_draws(decode.expected, decode.got, what);
  }
}

inline std::vector<SmallRequest> varied_requests() {
  std::vector<SmallRequest> requests;
  for (std::int32_t slot = 0; slot < 3; ++slot) requests.push_back(SmallRequest::make(slot, 3));
  auto& prior = requests[0].rules.prior;
  prior.mode = rules::PriorMode::nemo;
  prior.estimate_layers = 3;
  prior.apply_layers = 2;
  prior.track_finish = true;
  requests[0].rules.keep_scores = true;
  requests[1].is_guided = false;
  requests[1].rules.prior.mode = rules::PriorMode::window;
  requests[1].rules.prior.estimate_layers = 2;
  requests[1].rules.prior.apply_layers = 3;
  requests[1].rules.prior.end_after = 4;
  requests[2].rules.sampler.temperature = 0.7F;
  requests[2].rules.sampler.top_k = 9;
  return requests;
}

// Penalties of ids that were drawn, another order of processors and other ends.
inline std::vector<SmallRequest> penalised_requests() {
  using rules::Processor;
  std::vector<SmallRequest> requests = varied_requests();
  for (SmallRequest& request : requests) {
    auto& sampler = request.rules.sampler;
    sampler.repetition_penalty = 1.6F;
    sampler.num_seen_first = 1;
    sampler.seen_first[0] = 3;
    request.rules.keeps_end = true;
    request.rules.num_stop_ids = 1;
    request.rules.stop_ids[0] = 5;
    request.rules.guidance = rules::Guidance::extrapolate;
  }
  rules::SamplerRules& drawn = requests[2].rules.sampler;
  drawn.top_p = 0.9F;
  drawn.forgets_first = true;
  const Processor order[] = {Processor::temperature, Processor::top_k, Processor::top_p,
                             Processor::repetition_penalty};
  std::fill(std::begin(drawn.order), std::end(drawn.order), Processor::none);
  std::copy(std::begin(order), std::end(order), drawn.order);
  return requests;
}

// Some requests use the local transformer and some do not, greedy and sampled.
inline std::vector<SmallRequest> picking_requests() {
  std::vector<SmallRequest> requests = varied_requests();
  requests.push_back(SmallRequest::make(3, 4));
  for (SmallRequest& request : requests) {
    for (std::int32_t branch = 0; branch < 2; ++branch)
      request.blocks[branch] = SmallRequest::make(request.slot, 4).blocks[branch];
  }
  for (const std::size_t i : {0U, 1U, 2U}) requests[i].rules.use_local_transformer = true;
  requests[1].rules.sampler.temperature = 0.9F;
  requests[1].rules.sampler.top_p = 0.8F;
  requests[2].rules.sampler.min_p = 0.05F;
  return requests;
}

// Requests that pick in passes, of which the last takes most.
inline std::vector<SmallRequest> masking_requests(rules::MaskGitSampling sampling) {
  std::vector<SmallRequest> requests = picking_requests();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].rules.sampler.confidence_temperature = 0.6F;
    auto& maskgit = requests[i].rules.maskgit;
    maskgit.sampling = sampling;
    maskgit.steps = 2 + static_cast<std::int32_t>(i);
    for (std::int32_t pass = 0; pass < maskgit.steps; ++pass)
      maskgit.num_unmasked[pass] = pass * 4 / maskgit.steps;
    maskgit.dynamic_cfg_scale = i == 2;
    maskgit.noise_scale = i == 1 ? 0.5F : 0.0F;
  }
  return requests;
}

}  // namespace ttsrt::test
