// The launches of a LocalTransformer, in order and with their arguments, and what it refuses.
#include <gtest/gtest.h>

#include "calls.h"
#include "ttsrt/error.h"

namespace ttsrt::plugins::test {
namespace {

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const Recorded& launch : Recorder::launches()) all.push_back(launch.name);
  return all;
}

template <class Args>
const Args& launch(std::size_t at) {
  return std::get<Args>(Recorder::launches().at(at).args);
}

using Names = std::vector<std::string>;
const Names kProgram = {"norm",   "linear", "local_attention", "linear", "norm",
                        "linear", "gate",   "linear"};

Names operator+(Names a, const Names& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(PluginLocalTransformer, RunsPlaceAfterPlace) {
  const Called called("LocalTransformer", "in_order");
  const Names place =
      Names{"pick_inputs", "linear", "add_positions"} + kProgram + Names{"linear", "pick_code"};
  EXPECT_EQ(names(), place + place + place + Names{"keep_pick_logits"});
  constexpr std::size_t kPlace = 13;  // launches of a place
  const auto& input = launch<cuda::PickInputArgs>(0);
  EXPECT_EQ(input.hidden, called.at<float>("hidden"));
  EXPECT_EQ(input.code_tables.data, called.at<void>("code_tables"));
  EXPECT_EQ(input.code_tables.element, cuda::Element::float16);
  EXPECT_EQ(input.outcome.sampled, called.at<std::int32_t>("sampled"));
  EXPECT_EQ(input.dim, 20);
  EXPECT_EQ(input.codebooks, 3);
  EXPECT_EQ(input.vocab, 10);
  EXPECT_EQ(input.max_picks, 4);
  EXPECT_EQ(launch<cuda::PickInputArgs>(2 * kPlace).place, 2);

  // in_proj, and the positions that follow it
  const auto& project = launch<cuda::LinearArgs>(1);
  EXPECT_EQ(project.x, input.out);
  EXPECT_EQ(project.weight.data, called.at<void>("in_proj"));
  EXPECT_EQ(project.weight.format, cuda::Format::float16);
  EXPECT_EQ(project.weight.inputs, 20);
  EXPECT_EQ(project.weight.padded_inputs, 32);
  EXPECT_EQ(project.bias, called.at<float>("in_proj_bias"));
  EXPECT_EQ(project.num_rows, called.launch() + 3);  // Count::pick_rows
  EXPECT_EQ(project.max_rows, kRows);                // 2 of each of 4 draws, at most the rows
  const auto& positions = launch<cuda::AddPositionsArgs>(kPlace + 2);
  EXPECT_EQ(positions.x, project.out);
  EXPECT_EQ(positions.positions, called.at<float>("positions"));
  EXPECT_EQ(positions.place, 1);
  EXPECT_EQ(positions.places, 3);
  EXPECT_EQ(positions.width, 8);
}

TEST(PluginLocalTransformer, RunsTheOpsOfItsProgram) {
  const Called called("LocalTransformer", "in_order");
  const auto& first = launch<cuda::NormArgs>(3);
  EXPECT_EQ(first.x, launch<cuda::LinearArgs>(1).out);
  EXPECT_EQ(first.weight, called.at<float>("op0.weight"));
  EXPECT_EQ(first.bias, nullptr);
  EXPECT_TRUE(first.is_rms);
  EXPECT_FLOAT_EQ(first.epsilon, 1e-5F);
  const auto& qkv = launch<cuda::LinearArgs>(4);
  EXPECT_EQ(qkv.x, first.out);
  EXPECT_EQ(qkv.bias, called.at<float>("op1.bias"));
  EXPECT_EQ(qkv.weight.outputs, 16);
  EXPECT_FALSE(qkv.accumulates);
  EXPECT_EQ(qkv.addend, nullptr);
  const auto& attention = launch<cuda::LocalAttentionArgs>(5);
  EXPECT_EQ(attention.qkv, qkv.out);
  EXPECT_EQ(attention.rope, called.at<float>("op2.rope"));
  EXPECT_EQ(attention.rope_width, 4);
  EXPECT_EQ(attention.heads, 2);
  EXPECT_EQ(attention.kv_heads, 1);
  EXPECT_EQ(attention.place, 0);
  EXPECT_EQ(attention.places, 3);
  EXPECT_NE(attention.kept, nullptr);
  EXPECT_FLOAT_EQ(attention.scale, 0.5F);
  const auto& out = launch<cuda::LinearArgs>(6);
  EXPECT_EQ(out.out, first.x);
  EXPECT_TRUE(out.accumulates);
  const auto& second = launch<cuda::NormArgs>(7);
  EXPECT_EQ(second.bias, called.at<float>("op4.bias"));
  EXPECT_FALSE(second.is_rms);
  const auto& gate = launch<cuda::GateArgs>(9);
  EXPECT_EQ(gate.activate, cuda::Activation::silu);
  EXPECT_EQ(gate.width, 12);
  const auto& end = launch<cuda::LinearArgs>(10);
  EXPECT_EQ(end.x, gate.out);
  EXPECT_EQ(end.addend, first.x);
}

TEST(PluginLocalTransformer, ReadsAHeadForEachPlace) {
  const Called called("LocalTransformer", "in_order");
  const auto& head = launch<cuda::LinearArgs>(13 + 11);
  EXPECT_EQ(head.weight.data, called.at<void>("head1"));
  EXPECT_EQ(head.bias, called.at<float>("head_biases") + 10);
  EXPECT_EQ(head.x, launch<cuda::LinearArgs>(1).out);
  EXPECT_EQ(head.out, launch<cuda::LinearArgs>(11).out + 10);
  EXPECT_EQ(head.out_stride, 30);
  const auto& draw = launch<cuda::PickDrawArgs>(13 + 12);
  EXPECT_EQ(draw.place, 1);
  EXPECT_EQ(draw.logits, launch<cuda::LinearArgs>(11).out);
  EXPECT_EQ(draw.vocab, 10);
  EXPECT_NE(draw.scratch, nullptr);
  const auto& kept = std::get<KeepLogitsArgs>(Recorder::launches().back().args);
  EXPECT_EQ(kept.kept, called.at<float>("out:pick_logits"));
  EXPECT_EQ(kept.logits, draw.logits);
  EXPECT_EQ(kept.width, 30);
}

TEST(PluginLocalTransformer, RunsPassesOverAllPlaces) {
  const Called called("LocalTransformer", "maskgit");
  const Names pass = Names{"fix_confident", "pick_inputs", "add_positions"} + kProgram +
                     Names{"linear", "linear", "linear", "guess_codes"};
  EXPECT_EQ(names(), Names{"start_guesses"} + pass + pass + pass + Names{"finish_guesses"});
  const auto& input = launch<cuda::PickInputArgs>(2);
  EXPECT_EQ(input.place, -1);
  EXPECT_NE(input.fed, nullptr);
  const auto& attention = launch<cuda::LocalAttentionArgs>(6);
  EXPECT_EQ(attention.place, -1);
  EXPECT_EQ(attention.places, 4);
  EXPECT_EQ(attention.kept, nullptr);
  EXPECT_EQ(attention.max_groups, kRows);
  const auto& qkv = launch<cuda::LinearArgs>(5);
  EXPECT_EQ(qkv.num_rows, called.launch() + 4);  // Count::pick_places
  EXPECT_EQ(qkv.max_rows, 4 * kRows);
  EXPECT_EQ(qkv.weight.format, cuda::Format::float32);
  const auto& head = launch<cuda::LinearArgs>(12);
  EXPECT_EQ(head.x, input.out + 8);  // place 1 of the first group
  EXPECT_EQ(head.x_stride, 4 * 8);
  EXPECT_EQ(head.num_rows, called.launch() + 3);
  const auto& draw = launch<cuda::PickDrawArgs>(2 * 15);
  EXPECT_EQ(draw.pass, 1);
  EXPECT_EQ(draw.mask_id, 9);
}

// No piece of the workspace overlaps another, and all are inside.
TEST(PluginLocalTransformer, KeepsToItsWorkspace) {
  for (const char* label : {"in_order", "maskgit"}) {
    const Called called("LocalTransformer", label);
    const std::byte* begin = Called::workspace();
    const std::byte* end = begin + called.workspace_bytes();
    for (const Recorded& each : Recorder::launches()) {
      const auto* linear = std::get_if<cuda::LinearArgs>(&each.args);
      if (linear == nullptr) continue;
      const auto* out = reinterpret_cast<const std::byte*>(linear->out);
      EXPECT_GE(out, begin);
      EXPECT_LE(out + (linear->max_rows - 1) * linear->out_stride * 4 + linear->weight.outputs * 4,
                end);
    }
  }
}

Fields changed(std::size_t at, std::int32_t value) {
  Fields fields = sample_of("LocalTransformer", "in_order").fields;
  for (Field& field : fields) {
    if (field.name == "nested_ops") std::get<Numbers>(field.values).at(at) = value;
  }
  return fields;
}

void expect_refused(const Fields& fields, const std::string& what) {
  try {
    kind_of("LocalTransformer").make(fields);
    ADD_FAILURE() << "expected: " << what;
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find(what), std::string::npos) << error.what();
  }
}

TEST(PluginLocalTransformer, RefusesProgramsThatDoNotFit) {
  expect_refused(changed(0, 4), "nested_ops: kind: expected 0 to 3, got 4");
  expect_refused(changed(1, 6), "nested op 0: x: expected one of 6 activations, got 6");
  expect_refused(changed(2, -1), "nested op 0: out: expected one of 6 activations, got -1");
  expect_refused(changed(2, 2), "nested op 0: expected 8 columns, got 16");
  expect_refused(changed(8 + 3, 5), "nested op 1: expected an activation of cuda/launch.h, got 5");
  expect_refused(changed(16 + 3, 3), "nested op 2: expected 16 columns, got 20");
  expect_refused(changed(16 + 6, 0), "nested op 2: expected causal attention");
  expect_refused(changed(16 + 7, 3), "rope_width: expected pairs of dimensions, got 3");
  expect_refused(changed(56 + 5, 2), "nested op 7: expected 8 columns, got 16");
  expect_refused(changed(48 + 2, 3), "nested op 6: expected 24 columns, got 16");
  const Fields& fields = sample_of("LocalTransformer", "in_order").fields;
  expect_refused(with(fields, "nested_ops", Numbers{0, 0, 1}), "expected 8 numbers for each");
  expect_refused(with(fields, "nested_widths", Numbers{}), "nested_output: expected 0 to -1");
  expect_refused(with(fields, "has_in_proj", 0), "expected 20 columns of activation 0");
}

}  // namespace
}  // namespace ttsrt::plugins::test
