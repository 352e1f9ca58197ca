// What each op gives its launcher: every address, size and flag of the arguments.
#include <gtest/gtest.h>

#include <cmath>

#include "calls.h"

namespace ttsrt::plugins::test {
namespace {

// The arrays of the launch of all samples (samples.cpp), as cuda::RowsLayout orders them.
void expect_rows(const Called& called, const cuda::RowsView& rows) {
  const std::int32_t* launch = called.launch();
  EXPECT_EQ(rows.counts, launch);
  EXPECT_EQ(rows.slot, launch + 10);
  EXPECT_EQ(rows.position, launch + 10 + 8);
  EXPECT_EQ(rows.table_at, launch + 10 + 15 * 8);
  EXPECT_EQ(rows.draw_slot, launch + 10 + 16 * 8);
  EXPECT_EQ(rows.pick_first, launch + 10 + 16 * 8 + 6 * 4);
  EXPECT_EQ(rows.pick_source, launch + 10 + 16 * 8 + 7 * 4);
  EXPECT_EQ(rows.blocks, launch + 10 + 16 * 8 + 9 * 4);
  EXPECT_EQ(rows.ids, launch + 10 + 16 * 8 + 9 * 4 + 2 * 8);
}

void expect_slots(const Called& called, const cuda::SlotsView& slots) {
  EXPECT_EQ(slots.rules, called.at<rules::SlotRules>("slot_rules"));
  EXPECT_EQ(slots.states, called.at<rules::SlotState>("slot_states"));
  EXPECT_EQ(slots.counts, called.at<std::int32_t>("visit_counts"));
  EXPECT_EQ(slots.last_codes, called.at<std::int32_t>("last_codes"));
  EXPECT_EQ(slots.seen, called.at<std::uint32_t>("seen_codes"));
  EXPECT_EQ(slots.context_rows, called.at<float>("context_rows"));
  EXPECT_EQ(slots.num_slots, 5);
  EXPECT_EQ(slots.codebooks, 3);
  EXPECT_EQ(slots.max_text_len, 7);
  EXPECT_EQ(slots.seen_vocab, 40);
  EXPECT_EQ(slots.max_context_rows, 6);
  EXPECT_EQ(slots.dim, 16);
}

void expect_outcome(const Called& called, const cuda::OutcomeView& outcome) {
  EXPECT_EQ(outcome.sampled, called.at<std::int32_t>("sampled"));
  EXPECT_EQ(outcome.likeliest, called.at<std::int32_t>("likeliest"));
  EXPECT_EQ(outcome.scores, called.at<float>("alignment"));
  EXPECT_EQ(outcome.results, called.at<cuda::DrawResult>("results"));
}

void expect_faults(const Called& called, const cuda::FaultsView& faults) {
  EXPECT_EQ(faults.words, called.at<std::uint32_t>("faults"));
  EXPECT_EQ(faults.not_finite, 10U);
  EXPECT_EQ(faults.no_choice, 11U);
}

TEST(PluginOps, EmbedCodes) {
  const Called called("CodebookEmbed", "codes");
  const auto& args = Recorder::only<cuda::EmbedArgs>();
  expect_rows(called, args.rows);
  expect_slots(called, args.slots);
  expect_faults(called, args.faults);
  EXPECT_EQ(args.rows.vectors, called.at<float>("vectors"));
  EXPECT_EQ(args.out, called.at<float>("out:out"));
  EXPECT_EQ(args.dim, 16);
  EXPECT_EQ(args.code_tables.data, called.at<void>("code_tables"));
  EXPECT_EQ(args.code_tables.element, cuda::Element::float16);
  EXPECT_EQ(args.code_tables.rows, 30);
  EXPECT_EQ(args.code_tables.cols, 16);
  EXPECT_EQ(args.codebooks, 3);
  EXPECT_EQ(args.vocab, 10);
  EXPECT_EQ(args.id_tables[0].data, nullptr);
  EXPECT_EQ(args.position_tables[0].data, called.at<void>("position_table0"));
  EXPECT_TRUE(args.adds_positions);
  EXPECT_EQ(args.max_rows, kRows);
}

TEST(PluginOps, EmbedIds) {
  const Called called("CodebookEmbed", "ids");
  const auto& args = Recorder::only<cuda::EmbedArgs>();
  EXPECT_EQ(args.code_tables.data, nullptr);
  EXPECT_EQ(args.id_tables[1].data, called.at<void>("id_table1"));
  EXPECT_EQ(args.id_tables[1].rows, 21);
  EXPECT_EQ(args.id_tables[2].data, nullptr);
  EXPECT_EQ(args.position_tables[1].data, called.at<void>("position_table1"));
  EXPECT_EQ(args.position_tables[1].element, cuda::Element::float32);
  EXPECT_FALSE(args.adds_positions);
  EXPECT_EQ(args.faults.not_finite, cuda::kNoFault);
}

TEST(PluginOps, AttendOverTheCache) {
  const Called called("MaskedAttention", "cached");
  const auto& args = Recorder::only<cuda::SelfAttentionArgs>();
  expect_rows(called, args.rows);
  expect_slots(called, args.slots);
  expect_faults(called, args.faults);
  EXPECT_EQ(args.qkv, called.at<float>("qkv"));
  EXPECT_EQ(args.out, called.at<float>("out:out"));
  EXPECT_EQ(args.cache.data, called.at<std::byte>("cache"));
  EXPECT_EQ(args.cache.element, cuda::Element::float16);
  EXPECT_EQ(args.cache.heads, 2);
  EXPECT_EQ(args.cache.head_dim, 8);
  EXPECT_EQ(args.cache.part_bytes, 16 * 8 * 2);
  EXPECT_EQ(args.cache.block_bytes, 2 * 2 * 16 * 8 * 2);
  EXPECT_EQ(args.heads, 4);
  EXPECT_EQ(args.kv_heads, 2);
  EXPECT_EQ(args.head_dim, 8);
  EXPECT_FLOAT_EQ(args.scale, 0.5F);
  EXPECT_TRUE(args.is_causal);
  EXPECT_TRUE(args.has_single_rows);
  EXPECT_EQ(args.rope, called.at<float>("rope"));
  EXPECT_EQ(args.rope_width, 6);
  EXPECT_EQ(args.scores, called.at<float>("scores"));
  EXPECT_EQ(args.score_heads, 0x1'0000'0005U);
  EXPECT_FLOAT_EQ(args.score_share, 0.25F);
  EXPECT_EQ(args.max_rows, kRows);
  EXPECT_EQ(args.max_draws, 4);
}

TEST(PluginOps, AttendWithinSegments) {
  const Called called("MaskedAttention", "segment");
  const auto& args = Recorder::only<cuda::SelfAttentionArgs>();
  EXPECT_EQ(args.cache.data, nullptr);
  EXPECT_FLOAT_EQ(args.scale, 1.0F / std::sqrt(8.0F));
  EXPECT_FALSE(args.is_causal);
  EXPECT_FALSE(args.has_single_rows);
  EXPECT_EQ(args.rope, nullptr);
  EXPECT_EQ(args.scores, nullptr);
}

// The memory of layer 1 of 3 begins behind 6 blocks, and that of the context 4 blocks later. A
// block has 2 heads with keys and values of 16 positions of 12 numbers.
TEST(PluginOps, StoreMemory) {
  const Called called("StoreMemory", "context");
  const auto& args = Recorder::only<cuda::StoreMemoryArgs>();
  constexpr std::int64_t kBlock = 2 * 2 * 16 * 12 * 4;
  expect_rows(called, args.rows);
  expect_faults(called, args.faults);
  EXPECT_EQ(args.kv, called.at<float>("kv"));
  EXPECT_EQ(args.memory.blocks.data, called.at<std::byte>("memory") + (6 + 4) * kBlock);
  EXPECT_EQ(args.memory.blocks.block_bytes, kBlock);
  EXPECT_EQ(args.memory.slot_bytes, 3 * 6 * kBlock);
  EXPECT_TRUE(args.memory.is_context);
  EXPECT_EQ(args.max_rows, kRows);
}

TEST(PluginOps, CrossAttentionWithScores) {
  const Called called("CrossAttentionPrior", "scores");
  const auto& args = Recorder::only<cuda::CrossAttentionArgs>();
  constexpr std::int64_t kBlock = 2 * 2 * 16 * 12 * 2;
  expect_rows(called, args.rows);
  expect_slots(called, args.slots);
  EXPECT_EQ(args.memory.blocks.data, called.at<std::byte>("memory") + (2 * 6 + 4) * kBlock);
  EXPECT_EQ(args.memory.blocks.element, cuda::Element::float16);
  EXPECT_EQ(args.q, called.at<float>("q"));
  EXPECT_EQ(args.out, called.at<float>("out:out"));
  EXPECT_EQ(args.scores, called.at<float>("scores"));
  EXPECT_EQ(args.head_scores, called.at<float>("head_scores"));
  EXPECT_EQ(args.heads_done, called.at<std::uint32_t>("heads_done"));
  EXPECT_TRUE(args.has_kept_memory);
  EXPECT_EQ(args.heads, 2);
  EXPECT_EQ(args.head_dim, 10);
  EXPECT_EQ(args.layer, 2);
  EXPECT_EQ(args.max_rows, kRows);
}

TEST(PluginOps, CrossAttentionWithoutScores) {
  const Called called("CrossAttentionPrior", "plain");
  const auto& args = Recorder::only<cuda::CrossAttentionArgs>();
  EXPECT_EQ(args.scores, nullptr);
  EXPECT_EQ(args.head_scores, nullptr);
  EXPECT_EQ(args.heads_done, nullptr);
}

TEST(PluginOps, StoreContext) {
  const Called called("StoreContext", "rows");
  const auto& args = Recorder::only<cuda::StoreContextArgs>();
  expect_rows(called, args.rows);
  expect_slots(called, args.slots);
  expect_faults(called, args.faults);
  EXPECT_EQ(args.x, called.at<float>("x"));
  EXPECT_EQ(args.width, args.slots.dim);
  EXPECT_EQ(args.max_rows, kRows);
}

TEST(PluginOps, Unfold) {
  const Called called("Unfold", "history");
  const auto args = Recorder::only<cuda::UnfoldArgs>();
  expect_rows(called, args.rows);
  EXPECT_EQ(args.x, called.at<float>("x"));
  EXPECT_EQ(args.out, called.at<float>("out:out"));
  EXPECT_EQ(args.width, 16);
  EXPECT_EQ(args.kernel, 3);
  EXPECT_TRUE(args.is_causal);
  EXPECT_EQ(args.history.data, called.at<float>("history"));
  EXPECT_EQ(args.history.kernel, 3);
  EXPECT_EQ(args.history.width, 16);
  EXPECT_EQ(args.max_rows, kRows);
  const Called plain("Unfold", "segment");
  EXPECT_EQ(Recorder::only<cuda::UnfoldArgs>().history.data, nullptr);
  EXPECT_FALSE(Recorder::only<cuda::UnfoldArgs>().is_causal);
}

TEST(PluginOps, ClearScores) {
  const Called called("ClearScores", "draws");
  const auto& args = Recorder::only<ClearArgs>();
  expect_rows(called, args.rows);
  EXPECT_EQ(args.scores, called.at<float>("scores"));
  EXPECT_EQ(args.max_text_len, 7);
  EXPECT_EQ(args.max_draws, 4);
}

TEST(PluginOps, UpdatePrior) {
  const Called called("PriorUpdate", "draws");
  const auto& args = Recorder::only<cuda::UpdatePriorArgs>();
  expect_rows(called, args.rows);
  expect_slots(called, args.slots);
  expect_outcome(called, args.outcome);
  expect_faults(called, args.faults);
  EXPECT_EQ(args.scores, called.at<float>("scores"));
  EXPECT_EQ(args.max_draws, 4);
}

TEST(PluginOps, GuidedSample) {
  const Called called("GuidedSample", "traced");
  const auto& args = Recorder::only<cuda::SampleArgs>();
  expect_rows(called, args.rows);
  expect_slots(called, args.slots);
  expect_outcome(called, args.outcome);
  expect_faults(called, args.faults);
  EXPECT_EQ(args.logits, called.at<float>("logits"));
  EXPECT_EQ(args.guided, called.at<float>("guided"));
  EXPECT_EQ(args.vocab, 10);
  EXPECT_EQ(args.scratch, Called::workspace());
  EXPECT_EQ(called.workspace_bytes(), cuda::draw_scratch_bytes(4 * 3, 10));
  EXPECT_EQ(args.max_draws, 4);
}

// A launch has at most as many draws as rows.
TEST(PluginOps, DrawsAreBoundedByRows) {
  Sample sample = sample_of("FinishStep", "draws");
  sample.inputs.front().dims = {2};
  const Called called(sample);
  const auto& args = Recorder::only<cuda::FinishStepArgs>();
  expect_rows(called, args.rows);
  expect_slots(called, args.slots);
  expect_outcome(called, args.outcome);
  EXPECT_EQ(args.max_draws, 2);
}

TEST(PluginOps, BeginLaunch) {
  const Called called("BeginLaunch", "scores");
  const auto& args = Recorder::only<cuda::BeginArgs>();
  EXPECT_EQ(args.counts, called.launch());
  EXPECT_EQ(args.times[0], called.at<cuda::LaunchTimes>("given_times"));
  EXPECT_EQ(args.times[1], called.at<cuda::LaunchTimes>("given_times") + 1);
  EXPECT_TRUE(args.starts);
  EXPECT_EQ(args.faults, called.at<std::uint32_t>("faults"));
  expect_outcome(called, args.outcome);
  EXPECT_EQ(args.scores, called.at<float>("scores"));
  EXPECT_EQ(args.codebooks, 3);
  EXPECT_EQ(args.max_text_len, 7);
  EXPECT_EQ(args.max_rows, 8);
  EXPECT_EQ(args.max_draws, 4);
}

TEST(PluginOps, GiveResults) {
  const Called called("GiveResults", "stages");
  const auto& args = Recorder::only<cuda::GiveArgs>();
  EXPECT_EQ(args.counts, called.launch());
  EXPECT_EQ(args.faults, called.at<std::uint32_t>("faults"));
  expect_outcome(called, args.outcome);
  for (std::int32_t stage = 0; stage < 2; ++stage) {
    const cuda::ResultsView& to = args.results[stage];
    EXPECT_EQ(to.times, called.at<cuda::LaunchTimes>("given_times") + stage);
    EXPECT_EQ(to.faults, called.at<std::uint32_t>("given_faults") + stage * 8);
    EXPECT_EQ(to.draws, called.at<cuda::DrawResult>("given_draws") + stage * 4);
    EXPECT_EQ(to.codes, called.at<std::int32_t>("given_codes") + stage * 4 * 3);
    EXPECT_EQ(to.scores, called.at<float>("given_scores") + stage * 4 * 7);
  }
  EXPECT_EQ(args.codebooks, 3);
  EXPECT_EQ(args.max_text_len, 7);
  EXPECT_EQ(args.max_rows, kRows);
  EXPECT_EQ(args.max_draws, 4);
}

}  // namespace
}  // namespace ttsrt::plugins::test
