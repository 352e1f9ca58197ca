#include "cuda/outcome_copy.h"

#include <algorithm>

#include "cuda/check.h"

namespace ttsrt::cuda {
namespace {

void copy_down(const PinnedBuffer& to, const void* from, std::size_t bytes, cudaStream_t stream) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(to.as<void>(), from, bytes, cudaMemcpyDeviceToHost, stream),
        "cudaMemcpyAsync");
}

}  // namespace

void OutcomeCopy::make_room(const DeviceSlots& slots) {
  if (slots.max_draws() <= room_) return;
  room_ = slots.max_draws();
  const auto draws = static_cast<std::size_t>(room_);
  const ops::StateSpec& spec = slots.spec();
  const auto codes = draws * static_cast<std::size_t>(spec.codebooks);
  results_ = PinnedBuffer(draws * sizeof(DrawResult) + codes * sizeof(std::int32_t));
  scores_ = PinnedBuffer(draws * static_cast<std::size_t>(spec.max_text_len) * sizeof(float));
}

void OutcomeCopy::start() {
  draws_ = 0;
  keeps_scores_ = false;
}

void OutcomeCopy::queue(const DeviceSlots& slots, const step::RowBatch& rows,
                        const std::vector<rules::SlotRules>& rules, cudaStream_t stream) {
  draws_ = static_cast<std::int32_t>(rows.draws.size());
  keeps_scores_ = std::any_of(rows.draws.begin(), rows.draws.end(), [&](const step::Draw& draw) {
    return rules[static_cast<std::size_t>(draw.slot)].keep_scores;
  });
  const auto draws = static_cast<std::size_t>(draws_);
  const OutcomeView& from = *slots.outcome();
  const ops::StateSpec& spec = slots.spec();
  copy_down(results_, from.results,
            static_cast<std::size_t>(room_) * sizeof(DrawResult) +
                draws * static_cast<std::size_t>(spec.codebooks) * sizeof(std::int32_t),
            stream);
  if (!keeps_scores_) return;
  copy_down(scores_, from.scores,
            draws * static_cast<std::size_t>(spec.max_text_len) * sizeof(float), stream);
}

void OutcomeCopy::read(const ops::StateSpec& spec, step::StepOutput& output) const {
  const auto draws = static_cast<std::int64_t>(draws_);
  const auto* codes = reinterpret_cast<const std::int32_t*>(results_.as<DrawResult>() + room_);
  output.codes.assign(codes, codes + draws * spec.codebooks);
  output.draws.clear();
  const auto* results = results_.as<DrawResult>();
  for (std::int64_t d = 0; d < draws; ++d) {
    if (results[d].slot < 0) continue;  // the Program has no step that finishes draws
    step::DrawOutput draw;
    draw.slot = results[d].slot;
    draw.end_frame = results[d].end_frame;
    draw.focus = results[d].focus;
    draw.has_codes = results[d].has_codes != 0;
    draw.final_rows = results[d].final_rows;
    output.draws.push_back(draw);
  }
  output.max_text_len = spec.max_text_len;
  output.scores.clear();
  if (!keeps_scores_) return;
  const auto* scores = scores_.as<float>();
  output.scores.assign(scores, scores + draws * spec.max_text_len);
}

}  // namespace ttsrt::cuda
