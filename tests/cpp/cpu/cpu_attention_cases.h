// Cases of self-attention with grouped queries, ropes, scales and scores, for every backend that is
// compared with the reference.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "cpu_support.h"
#include "support/rope_table.h"

namespace ttsrt::test {

struct Form {
  std::int32_t heads;
  std::int32_t kv_heads;
  std::int32_t head_dim;
  std::int32_t rotated;
  float scale;

  std::int64_t width() const { return std::int64_t{heads + 2 * kv_heads} * head_dim; }
  std::int64_t out_width() const { return std::int64_t{heads} * head_dim; }
};

inline constexpr Form kForms[] = {
    {8, 2, 8, 8, 0.0F},    // groups of 4
    {9, 1, 20, 10, 0.3F},  // one head of keys for all, half of it turned
    {3, 3, 80, 32, 0.0F},  // no groups, part of it turned
    {4, 2, 64, 0, 0.5F}};  // no rope
// Of 64 and 128 dimensions, which GPUs attend to on tensor cores if the cache is bfloat16.
inline constexpr Form kWideForms[] = {
    {8, 1, 64, 64, 0.0F}, {6, 2, 128, 128, 0.0F}, {4, 4, 64, 32, 0.0F}};

// Blocks from which sequences of several rows take theirs, and sequences of one row in a launch.
inline constexpr std::int32_t kTableBlocks = 64;
inline constexpr std::int32_t kMostOthers = 70;

inline ops::StateSpec state_of(const Form& form, DType cache_dtype) {
  ops::StateSpec spec = small_state();
  spec.cache_dtype = cache_dtype;
  spec.cache_heads = form.kv_heads;
  spec.cache_head_dim = form.head_dim;
  spec.num_blocks = kTableBlocks + kMostOthers;
  return spec;
}

// Turned keys may round to the other neighbour where the cache is narrow.
inline float tolerance_of(const Form& form, DType cache_dtype) {
  if (cache_dtype == DType::float32 || form.rotated == 0) return 2e-5F;
  return cache_dtype == DType::int8 ? 2e-2F : 4e-3F;
}

struct FormProgram {
  TestRope rope;
  ops::Program program;
  ops::BufferId out = ops::kNoBuffer;

  FormProgram(const Form& form, std::int32_t cache_layer, bool is_causal)
      : rope(600, form.rotated) {
    ops::SelfAttention op;
    op.qkv = add_input(program, form.width());
    op.out = out = program.add("out", form.out_width());
    op.heads = form.heads;
    op.kv_heads = form.kv_heads;
    op.head_dim = form.head_dim;
    op.cache_layer = cache_layer;
    op.causal = is_causal;
    op.scale = form.scale;
    op.rope = rope.weight();
    program.ops.emplace_back(op);
  }
};

inline std::vector<float> rows_of(const Form& form, std::int32_t rows, std::uint64_t seed) {
  return random_vector(static_cast<std::size_t>(rows * form.width()), seed);
}

// Scattered blocks, prefill in pieces and single rows, both branches.
inline void expect_as_the_reference(const PairOpener& open, const Form& form, DType dtype) {
  const std::vector<std::int32_t> tables[3] = {
      {7, 2, 19, 4, 28}, {0, 11, 3, 9, 1}, {5, 6, 8, 10, 29}};
  FormProgram made(form, 1, true);
  Pair pair = open(state_of(form, dtype));
  PairExecutable both(pair, made.program, traced(60));
  std::int32_t position[3] = {0, 0, 0};
  std::uint64_t seed = 0;
  for (const std::vector<std::int32_t>& counts :
       {std::vector<std::int32_t>{13, 4, 30}, {1, 1, 1}, {9, 1, 17}, {1, 1, 1}}) {
    TestBatch batch;
    for (std::size_t s = 0; s < 3; ++s) {
      auto& segment = batch.add_vectors(static_cast<std::int32_t>(s % 2), counts[s],
                                        rows_of(form, counts[s], ++seed));
      segment.branch = s == 2 ? step::Branch::unconditional : step::Branch::conditional;
      segment.position = position[s];
      batch.set_blocks(tables[s]);
      position[s] += counts[s];
    }
    both.run(
        batch.batch, tolerance_of(form, dtype),
        std::to_string(form.heads) + " heads, type " + std::to_string(static_cast<int>(dtype)));
  }
}

inline void expect_segments_as_the_reference(const PairOpener& open, const Form& form) {
  for (const bool is_causal : {true, false}) {
    FormProgram made(form, -1, is_causal);
    Pair pair = open(small_state());
    PairExecutable both(pair, made.program, traced(100));
    std::uint64_t seed = 40;
    for (const std::vector<std::int32_t>& counts :
         {std::vector<std::int32_t>{1, 1}, {16, 17, 40}, {5}}) {
      TestBatch batch;
      for (const std::int32_t rows : counts)
        batch.add_vectors(0, rows, rows_of(form, rows, ++seed)).position = 3;
      both.run(batch.batch, 2e-5F, std::to_string(form.heads) + " heads");
    }
  }
}

// A step of four draws, of which two read their scores, one of them guided.
inline TestBatch scored_step(const Form& form, std::uint64_t seed) {
  TestBatch batch;
  for (std::int32_t row = 0; row < 5; ++row) {
    auto& segment = batch.add_vectors(std::min(row, 3), 1, rows_of(form, 1, ++seed));
    if (row == 4) segment.branch = step::Branch::unconditional;
    segment.position = 25 + row;
    batch.set_blocks({2 * row, 40 + row});
    if (row < 4) batch.add_draw(row, row, row == 3 ? 4 : -1);
  }
  return batch;
}

inline void fill_cache(const Form& form, PairExecutable& both) {
  TestBatch prefill;
  for (std::int32_t row = 0; row < 5; ++row) {
    prefill.add_vectors(std::min(row, 3), 30, rows_of(form, 30, 90U + static_cast<unsigned>(row)));
    prefill.set_blocks({2 * row, 40 + row});
  }
  both.run(prefill.batch, 2e-2F, "prefill");
}

// Every head that adds to the scores is attended once more; nothing else may change by that.
inline void expect_scores(const PairOpener& open, const Form& form, DType dtype) {
  std::vector<float> outs[2];
  for (const bool is_scored : {false, true}) {
    FormProgram made(form, 1, true);
    ops::StateSpec spec = state_of(form, dtype);
    spec.slots = 4;
    auto& op = std::get<ops::SelfAttention>(made.program.ops.back());
    if (is_scored) {
      op.scores = made.program.add("scores", spec.max_text_len, ops::RowSpace::draws);
      op.score_heads = 1U | (std::uint64_t{1} << (form.heads - 1));
      op.score_share = 0.5F;
      made.program.ops.emplace(made.program.ops.begin() + 1, ops::ClearScores{op.scores});
    }
    Pair pair = open(spec);
    for (std::int32_t slot = 0; slot < spec.slots; ++slot) {
      step::SlotReset reset{slot, {}};
      if (slot % 2 == 1) {
        reset.rules.text_len = 17 + slot;
        reset.rules.analyzer = {slot == 1, 6};
        reset.rules.keep_scores = slot == 3;
      }
      pair.reset_slot(reset);
    }
    PairExecutable both(pair, made.program, traced(150));
    fill_cache(form, both);
    const TestBatch batch = scored_step(form, 50);
    both.run(batch.batch, tolerance_of(form, dtype), "scores");
    const float* out = both.cpu->activation(made.out);
    outs[is_scored ? 1 : 0].assign(out, out + 5 * form.out_width());
  }
  EXPECT_EQ(std::memcmp(outs[0].data(), outs[1].data(), outs[0].size() * sizeof(float)), 0);
}

}  // namespace ttsrt::test
