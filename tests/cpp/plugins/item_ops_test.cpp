// What the ops of whole items give their launchers: every address, size and flag of the arguments.
#include <gtest/gtest.h>

#include <cmath>

#include "calls.h"

namespace ttsrt::plugins::test {
namespace {

// The arrays of the launch of these samples (item_samples.cpp).
void expect_rows(const Called& called, const cuda::RowsView& rows) {
  const std::int32_t* items = called.launch() + 10 + 16 * 8 + 9;
  EXPECT_EQ(rows.counts, called.launch());
  EXPECT_EQ(rows.segment, items);
  EXPECT_EQ(rows.schedule_row, items + 8);
  EXPECT_EQ(rows.step_size, items + 2 * 8);
  EXPECT_EQ(rows.partner, items + 6 * 8);
  EXPECT_EQ(rows.tile_row, items + 7 * 8);
  EXPECT_EQ(rows.blocks, items + 7 * 8 + 3);
}

TEST(PluginItems, LoadRows) {
  const Called called("LoadRows", "branches");
  const auto args = Recorder::only<cuda::ItemRowsArgs>();
  expect_rows(called, args.rows);
  EXPECT_EQ(args.array.data, called.at<float>("array"));
  EXPECT_EQ(args.array.rows, 20);
  EXPECT_EQ(args.array.width, 12);
  EXPECT_TRUE(args.array.has_branches);
  EXPECT_EQ(args.x, called.at<float>("out:out"));
  EXPECT_EQ(args.stride, 12);
  EXPECT_EQ(args.first, 0);
  EXPECT_EQ(args.max_rows, kRows);
  const Called one("LoadRows", "one_branch");
  EXPECT_FALSE(Recorder::only<cuda::ItemRowsArgs>().array.has_branches);
}

TEST(PluginItems, ModulatedNorm) {
  const Called called("ModulatedNorm", "rows");
  const auto& args = Recorder::only<cuda::ModulatedNormArgs>();
  expect_rows(called, args.rows);
  EXPECT_EQ(args.schedule, called.at<float>("schedule"));
  EXPECT_EQ(args.schedule_width, 100);
  EXPECT_EQ(args.x, called.at<float>("x"));
  EXPECT_EQ(args.out, called.at<float>("out:out"));
  EXPECT_EQ(args.narrow.data, nullptr);
  EXPECT_EQ(args.width, 12);
  EXPECT_EQ(args.scale, 24);
  EXPECT_EQ(args.shift, 88);
  EXPECT_FLOAT_EQ(args.epsilon, 1e-4F);
  EXPECT_EQ(args.max_rows, kRows);
}

TEST(PluginItems, AddModulatedCopiesTheAddendFirst) {
  const Called called("AddModulated", "rows");
  ASSERT_EQ(Recorder::launches().size(), 2U);
  EXPECT_EQ(Recorder::launches()[0].name, "unfold");
  const auto& copy = std::get<cuda::UnfoldArgs>(Recorder::launches()[0].args);
  EXPECT_EQ(copy.x, called.at<float>("addend"));
  EXPECT_EQ(copy.out, called.at<float>("out:out"));
  EXPECT_EQ(copy.width, 12);
  EXPECT_EQ(copy.kernel, 1);
  EXPECT_EQ(copy.history.data, nullptr);
  EXPECT_EQ(copy.max_rows, kRows);
  const auto& args = std::get<cuda::AddModulatedArgs>(Recorder::launches()[1].args);
  expect_rows(called, args.rows);
  EXPECT_EQ(args.schedule, called.at<float>("schedule"));
  EXPECT_EQ(args.schedule_width, 100);
  EXPECT_EQ(args.x, called.at<float>("x"));
  EXPECT_EQ(args.out, called.at<float>("out:out"));
  EXPECT_EQ(args.width, 12);
  EXPECT_EQ(args.gate, 36);
  EXPECT_EQ(args.max_rows, kRows);
}

TEST(PluginItems, GroupedConv) {
  const Called called("GroupedConv", "mish");
  const auto& args = Recorder::only<cuda::GroupedConvArgs>();
  expect_rows(called, args.rows);
  EXPECT_EQ(args.x, called.at<float>("x"));
  EXPECT_EQ(args.out, called.at<float>("out:out"));
  EXPECT_EQ(args.weight.data, called.at<void>("weight"));
  EXPECT_EQ(args.weight.format, cuda::Format::float16);
  EXPECT_EQ(args.weight.outputs, 32);
  EXPECT_EQ(args.weight.inputs, 18);
  EXPECT_EQ(args.weight.padded_inputs, 32);
  EXPECT_EQ(args.bias, called.at<float>("bias"));
  EXPECT_EQ(args.width, 12);
  EXPECT_EQ(args.groups, 2);
  EXPECT_EQ(args.kernel, 3);
  EXPECT_EQ(args.activate, cuda::Activation::mish);
  EXPECT_FALSE(args.accumulates);
  EXPECT_EQ(args.max_rows, kRows);
}

TEST(PluginItems, FlowStep) {
  const Called called("FlowStep", "rows");
  const auto& args = Recorder::only<cuda::FlowStepArgs>();
  expect_rows(called, args.rows);
  EXPECT_EQ(args.slots.rules, called.at<rules::SlotRules>("slot_rules"));
  EXPECT_EQ(args.slots.context_rows, called.at<float>("context_rows"));
  EXPECT_EQ(args.slots.max_context_rows, 20);
  EXPECT_EQ(args.slots.dim, 6);
  EXPECT_EQ(args.faults.words, called.at<std::uint32_t>("faults"));
  EXPECT_EQ(args.faults.not_finite, 10U);
  EXPECT_EQ(args.velocity, called.at<float>("velocity"));
  EXPECT_EQ(args.width, 6);
  EXPECT_EQ(args.base.data, called.at<float>("base"));
  EXPECT_EQ(args.base.rows, 20);
  EXPECT_EQ(args.base.width, 6);
  EXPECT_EQ(args.fixed.data, called.at<float>("fixed"));
  EXPECT_EQ(args.fixed.width, 6);
  EXPECT_EQ(args.mask.data, called.at<float>("mask"));
  EXPECT_EQ(args.mask.width, 1);
  EXPECT_FALSE(args.base.has_branches || args.fixed.has_branches || args.mask.has_branches);
  EXPECT_EQ(args.max_rows, kRows);
}

TEST(PluginItems, AttendWithNormsOfHeads) {
  const Called called("MaskedAttention", "item");
  ASSERT_EQ(Recorder::launches().size(), 2U);
  EXPECT_EQ(Recorder::launches()[0].name, "prepare_heads");
  EXPECT_EQ(Recorder::launches()[1].name, "item_attention");
  for (const Recorded& launch : Recorder::launches()) {
    const auto& args = std::get<cuda::ItemAttentionArgs>(launch.args);
    expect_rows(called, args.rows);
    EXPECT_EQ(args.qkv, called.at<float>("qkv"));
    EXPECT_EQ(args.prepared, Called::workspace());
    EXPECT_EQ(args.element, cuda::Element::float32);
    EXPECT_EQ(args.rounded, cuda::Element::float32);
    EXPECT_FALSE(args.has_boxes);
    EXPECT_EQ(args.out, called.at<float>("out:out"));
    EXPECT_EQ(args.narrow.data, nullptr);
    EXPECT_EQ(args.heads, 4);
    EXPECT_EQ(args.kv_heads, 2);
    EXPECT_EQ(args.head_dim, 8);
    EXPECT_FLOAT_EQ(args.scale, 1.0F / std::sqrt(8.0F));
    EXPECT_FALSE(args.is_causal);
    EXPECT_EQ(args.rope, called.at<float>("rope"));
    EXPECT_EQ(args.rope_width, 6);
    EXPECT_EQ(args.rope_heads, 1);
    EXPECT_EQ(args.q_norm, called.at<float>("q_norm"));
    EXPECT_EQ(args.k_norm, called.at<float>("k_norm"));
    EXPECT_FLOAT_EQ(args.head_norm_epsilon, 1e-5F);
    EXPECT_EQ(args.max_rows, kRows);
    EXPECT_EQ(args.max_tiles, 3);
  }
  EXPECT_EQ(called.workspace_bytes(), 8U * 64U * sizeof(float));
}

TEST(PluginItems, RefuseWhatTheyCannotDo) {
  const auto refuses = [](const char* kind, const char* label, const char* field,
                          std::int32_t value, const std::string& reason) {
    const Fields fields = with(sample_of(kind, label).fields, field, value);
    try {
      kind_of(kind).make(fields);
    } catch (const ConfigError& error) {
      EXPECT_NE(std::string(error.what()).find(reason), std::string::npos) << error.what();
      return;
    }
    ADD_FAILURE() << kind << ": " << field << " " << value << " was taken";
  };
  for (const Sample& sample : item_samples()) {
    refuses(sample.kind.c_str(), sample.label.c_str(), "max_segments", 0,
            "max_segments: expected at least 1, got 0");
  }
  refuses("ModulatedNorm", "rows", "shift", 89, "shift: expected 0 to 88, got 89");
  refuses("AddModulated", "rows", "gate", -1, "gate: expected 0 to 88, got -1");
  refuses("GroupedConv", "mish", "groups", 5, "expected a divisor of the 12 columns, got 5");
  refuses("GroupedConv", "mish", "outputs", 48, "expected a multiple of 16 for each of the 2");
  refuses("GroupedConv", "mish", "kernel", 2, "expected an odd number, got 2");
  refuses("GroupedConv", "mish", "activate", 5, "activate: expected 0 to 4, got 5");
  refuses("GroupedConv", "mish", "weight_type", 1, "expected float32 or float16, got bfloat16");
  refuses("MaskedAttention", "item", "cache_blocks", 2, "expected no cache, got cache_blocks 2");
  refuses("MaskedAttention", "item", "rope_heads", 5, "rope_heads: expected 0 to 4, got 5");
}

}  // namespace
}  // namespace ttsrt::plugins::test
