// Programs of block diffusion over vectors as their hidden states, for tests on any backend.
#pragma once

#include "support/backend.h"
#include "support/weights.h"

namespace ttsrt::test {

constexpr std::int32_t kBlockPlaces = 4;  // as many as small_state() has codes
constexpr std::int32_t kBlockVocab = 37;

struct BlockPrograms {
  TestWeight head = make_panel(kBlockVocab, 16, DType::float32, 3);
  TestWeight prior = make_vector(kBlockVocab, 4, 0.01F, 0.03F);
  ops::Program start;
  ops::Program blocks;
  ops::BufferId hidden, shifted, logits, scores;

  BlockPrograms() {
    start.name = "start";
    const ops::BufferId kept = add_input(start, 16);
    start.ops.emplace_back(ops::StoreContext{kept});
    blocks.name = "blocks";
    hidden = add_input(blocks, 16);
    shifted = blocks.add("shifted", 16);
    logits = blocks.add("logits", kBlockVocab);
    scores = blocks.add("scores", kBlockPlaces, ops::RowSpace::draws);
    blocks.ops.emplace_back(ops::ShiftBlock{hidden, shifted});
    blocks.ops.emplace_back(ops::Linear{shifted, logits, head, {}});
    blocks.ops.emplace_back(ops::GuessBlock{logits, scores, prior, kBlockPlaces, kBlockVocab});
    blocks.ops.emplace_back(ops::FinishBlock{scores, kBlockPlaces});
  }
};

inline rules::SlotRules block_rules(std::int32_t steps) {
  rules::SlotRules rules;
  rules.cfg_scale = 2.0F;
  rules.codebooks = 1;
  rules.frame_stacking = kBlockPlaces;
  rules.eos_id = kBlockVocab - 1;
  rules.eos_streams = rules::EosStreams::sampled;
  rules.block.steps = steps;
  rules.block.mask_id = kBlockVocab;
  return rules;
}

// The rows that the slot keeps before the first block: one of each branch.
inline TestBatch start_rows(std::int32_t slot, std::uint64_t seed) {
  TestBatch batch;
  for (std::int32_t branch = 0; branch < 2; ++branch) {
    step::Segment& segment =
        batch.add_vectors(slot, 1, random_vector(16, seed + static_cast<std::uint64_t>(branch)));
    segment.branch = static_cast<step::Branch>(branch);
    segment.kept_offset = branch;
  }
  return batch;
}

// The hidden states of one step, of both branches or of one.
inline TestBatch block_rows(std::int32_t slot, std::int32_t rows, std::uint64_t seed,
                            bool is_guided = true) {
  TestBatch batch;
  const auto count = static_cast<std::size_t>(rows) * 16;
  batch.add_vectors(slot, rows, random_vector(count, seed));
  if (is_guided)
    batch.add_vectors(slot, rows, random_vector(count, seed + 100)).branch =
        step::Branch::unconditional;
  batch.add_draw(slot, 0, is_guided ? rows : -1);
  batch.batch.draws.back().rows = rows;
  return batch;
}

}  // namespace ttsrt::test
