#include "executor/sequence.h"

#include <algorithm>

namespace ttsrt::executor {

Sequence::Sequence(Pending&& pending, std::int32_t the_slot, const step::ModelFacts& facts,
                   bool is_traced)
    : request(std::move(pending.request)),
      channel(std::move(pending.channel)),
      slot(the_slot),
      submitted(pending.submitted) {
  const auto width = static_cast<std::size_t>(facts.stack_codes());
  stacks.reserve((static_cast<std::size_t>(request.rules.max_steps) + 1) * width);
  stacks.assign(width, facts.bos_id);
  is_context_done = request.context_encoder.rows == 0;
  if (is_traced) mirror = std::make_unique<decode::PriorMirror>(request.rules.slot);
}

SequenceView Sequence::view() const {
  SequenceView view;
  view.text_rows = is_text_done ? 0 : request.text.rows;
  view.is_encoder_output = request.is_encoded;
  view.context_encoder_rows = is_context_done ? 0 : request.context_encoder.rows;
  view.conditional_done = conditional_done;
  view.conditional_target = prefill_target();
  view.is_guided = is_guided();
  if (prefix != nullptr && !is_forked) {
    view.prefix = prefix->rows;
    view.prefix_done = prefix->planned;
    view.prefix_target = prefix->rows;
  }
  if (is_guided() && prefix == nullptr) {
    view.unconditional_done = unconditional_done;
    view.unconditional_target = context_rows();
  }
  return view;
}

RequestStats Sequence::stats(std::int32_t codebooks) const {
  RequestStats stats;
  stats.id = channel->id();
  stats.stage = !is_text_done || !is_context_done ? RequestStage::encoder_in_progress
                : steps == 0                      ? RequestStage::context_in_progress
                                                  : RequestStage::generation_in_progress;
  stats.context_prefill_position = std::min(conditional_done, context_rows());
  if (steps > 0) stats.context_prefill_position = context_rows();
  stats.num_generated_tokens = frames * codebooks;
  stats.scheduled = is_scheduled;
  stats.paused = !is_scheduled;
  return stats;
}

Matrix<std::int32_t> unstack(const Sequence& sequence, std::int32_t codebooks,
                             std::int32_t frame_stacking, std::int32_t first, std::int32_t count) {
  Matrix<std::int32_t> codes;
  codes.rows = count;
  codes.cols = codebooks;
  codes.values.resize(static_cast<std::size_t>(count) * static_cast<std::size_t>(codebooks));
  for (std::int32_t i = 0; i < count; ++i) {
    const std::int32_t frame = first + i;
    const std::int64_t stack = 1 + frame / frame_stacking;  // stack 0 is BOS
    const std::int64_t offset =
        stack * codebooks * frame_stacking + std::int64_t{frame % frame_stacking} * codebooks;
    std::copy_n(sequence.stacks.begin() + offset, codebooks, codes.row(i));
  }
  return codes;
}

}  // namespace ttsrt::executor
