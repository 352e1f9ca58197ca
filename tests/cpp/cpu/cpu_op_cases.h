// Cases of single ops, for every backend that is compared with the reference: rows from every
// source, neighbours of rows, and attention over the paged cache and within segments.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cpu_support.h"

namespace ttsrt::test {

inline void expect_unfolds(const PairOpener& open) {
  for (const std::int32_t history : {-1, 0}) {
    for (const bool causal : {true, false}) {
      if (history >= 0 && !causal) continue;
      ops::Program program;
      const ops::BufferId x = add_input(program, 16);
      const ops::BufferId y = program.add("unfolded", 48);
      program.ops.emplace_back(ops::Unfold{x, y, 3, causal, history});
      Pair pair = open(small_state());
      pair.reset_slots(3);
      PairExecutable both(pair, program, traced(30));
      for (std::uint64_t launch = 0; launch < 4; ++launch) {
        TestBatch batch;
        std::uint64_t seed = launch * 10;
        for (const std::int32_t rows : {1, 5, 2}) {
          const auto slot = static_cast<std::int32_t>(seed % 3);
          auto& segment = batch.add_vectors(
              slot, rows, random_vector(static_cast<std::size_t>(rows) * 16, ++seed));
          segment.branch = rows == 5 ? step::Branch::unconditional : step::Branch::conditional;
          segment.position = static_cast<std::int32_t>(launch % 3) * 10;  // 0: no rows before it
          const step::Segment before = segment;
          auto& next = batch.add_vectors(
              slot, 1, random_vector(16, seed + 100));  // continues where that segment ends
          next.branch = before.branch;
          next.position = before.position + before.rows;
        }
        if (launch == 2) {
          step::SlotReset reset;
          reset.slot = 1;
          pair.reset_slot(reset);
        }
        both.run(batch.batch, 0.0F, "launch " + std::to_string(launch));
      }
    }
  }
}

// Tables have this type, and the launches rows from every source but given codes of a block.
inline void expect_embeddings(const PairOpener& open, DType dtype) {
  ops::Program program;
  const TestWeight audio = make_dense(4 * 11, 16, dtype, 1);
  const TestWeight text = make_dense(9, 16, dtype, 2);
  const TestWeight context_text = make_dense(6, 16, dtype, 3);
  const TestWeight positions = make_dense(40, 16, dtype, 4);
  const TestWeight starts = make_dense(3, 16, dtype, 5);
  const ops::BufferId x = program.add("x", 16);
  program.ops.emplace_back(
      ops::EmbedRows{x, audio, 4, 11, {text, context_text}, {positions, starts}});
  program.ops.emplace_back(ops::StoreContext{x});
  Pair pair = open(small_state());
  pair.reset_slots(3);
  PairExecutable both(pair, program, traced(30));
  TestBatch batch;
  batch.add_ids(0, 3, step::Input::codes, {1, 2, 3, 4, 10, 9, 8, 7, 0, 0, 0, 0}).position = 5;
  batch.set_learned(0, 5);
  batch.add_ids(1, 2, step::Input::ids, {8, 0}).kept_offset = 4;
  batch.set_learned(0, 0);
  batch.add_ids(2, 2, step::Input::ids, {5, 1}).table = 1;
  batch.set_learned(1, 1);
  batch.add_vectors(0, 2, random_vector(32, 8)).kept_offset = 3;
  batch.add(1, 1, step::Input::zeros);
  batch.set_learned(0, 39);
  batch.add(2, 1, step::Input::last_codes).kept_offset = 9;
  batch.set_learned(1, 0);
  both.run(batch.batch, 1e-6F, "first");
  TestBatch second;
  second.add(0, 5, step::Input::kept_rows).kept_offset = 0;
  second.set_learned(0, 3);
  both.run(second.batch, 1e-6F, "context");
}

struct Attending {
  DType cache_dtype;
  std::int32_t heads;
  std::int32_t head_dim;
};

inline ops::StateSpec attention_state(const Attending& shape) {
  ops::StateSpec spec = small_state();
  spec.cache_dtype = shape.cache_dtype;
  spec.cache_heads = shape.heads;
  spec.cache_head_dim = shape.head_dim;
  spec.num_blocks = 30;
  return spec;
}

// Uses scattered blocks, prefill in pieces and single rows, both branches, then a copied block.
inline void expect_paged_attention(const PairOpener& open, DType dtype) {
  for (const auto& [heads, head_dim] :
       {std::pair{2, 8}, std::pair{3, 5}, std::pair{1, 64}, std::pair{2, 80}}) {
    const std::int64_t width = std::int64_t{heads} * head_dim;
    ops::Program program;
    const ops::BufferId qkv = add_input(program, 3 * width);
    const ops::BufferId out = program.add("out", width);
    program.ops.emplace_back(ops::SelfAttention{qkv, out, heads, head_dim, 1, true});
    Pair pair = open(attention_state({dtype, heads, head_dim}));
    PairExecutable both(pair, program, traced(60));
    const std::vector<std::int32_t> tables[3] = {
        {7, 2, 19, 4, 28}, {0, 11, 3, 9, 1}, {5, 6, 8, 10, 29}};
    std::int32_t position[3] = {0, 0, 0};
    std::uint64_t seed = 0;
    for (const std::vector<std::int32_t>& counts : {std::vector<std::int32_t>{13, 4, 30},
                                                    {1, 1, 1},
                                                    {9, 1, 17},
                                                    {1, 1, 1},
                                                    {20, 30, 1},
                                                    {1, 1, 1}}) {
      TestBatch batch;
      for (std::size_t s = 0; s < 3; ++s) {
        auto& segment = batch.add_vectors(
            static_cast<std::int32_t>(s % 2), counts[s],
            random_vector(static_cast<std::size_t>(counts[s] * 3 * width), ++seed));
        segment.branch = s == 2 ? step::Branch::unconditional : step::Branch::conditional;
        segment.position = position[s];
        batch.set_blocks(tables[s]);
        position[s] += counts[s];
      }
      both.run(batch.batch, 2e-5F, "dims " + std::to_string(head_dim));
      for (ops::Backend* backend : {pair.oracle.get(), pair.cpu.get()})
        backend->copy_blocks({{2, 11}});
    }
  }
}

inline void expect_segment_attention(const PairOpener& open) {
  for (const bool causal : {true, false}) {
    for (const auto& [heads, head_dim] :
         {std::pair{2, 8}, std::pair{3, 20}, std::pair{1, 64}, std::pair{1, 80}}) {
      const std::int64_t width = std::int64_t{heads} * head_dim;
      ops::Program program;
      const ops::BufferId qkv = add_input(program, 3 * width);
      const ops::BufferId out = program.add("out", width);
      program.ops.emplace_back(ops::SelfAttention{qkv, out, heads, head_dim, -1, causal});
      Pair pair = open(small_state());
      PairExecutable both(pair, program, traced(100));
      std::uint64_t seed = 40;
      for (const std::vector<std::int32_t>& counts :
           {std::vector<std::int32_t>{1, 1}, {16, 17, 40}, {5}, {33, 1, 2}}) {
        TestBatch batch;
        for (const std::int32_t rows : counts) {
          batch.add_vectors(0, rows,
                            random_vector(static_cast<std::size_t>(rows * 3 * width), ++seed));
        }
        both.run(batch.batch, 2e-5F, "segments");
      }
    }
  }
}

}  // namespace ttsrt::test
