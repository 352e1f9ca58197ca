// Samples of the plugins of whole items (common/items.h), whose launches have arrays of their own.
#include "rules/slot_rules.h"
#include "samples.h"

namespace ttsrt::plugins::test {
namespace {

constexpr Type kInt = Type::int32;
constexpr Type kFloat = Type::float32;
constexpr bool kWritten = true;

// 8 rows, 1 draw, 2 blocks, no codebooks, 3 segments: 10 counts, 16 numbers for each row, 9 for the
// draw, 7 more for each row, 3 tiles, 2 blocks and an id for each row.
constexpr std::int64_t kLaunchNumbers = 10 + 16 * 8 + 9 + 7 * 8 + 3 + 2 * 8 + 8;
constexpr auto kRuleWords = static_cast<std::int64_t>(sizeof(rules::SlotRules) / 4);
constexpr auto kStateWords = static_cast<std::int64_t>(sizeof(rules::SlotState) / 4);

const PortRow kLaunchPort = {"launch", kInt, {kLaunchNumbers}};
const PortRow kSchedulePort = {"schedule", kFloat, {32, 100}};
const PortRow kToken = {"token", kInt, {1}};

Field number(const char* name, std::int32_t value) { return {name, Numbers{value}}; }

// A sample with the fields that all have.
Sample sample_with(const char* kind, const char* label, const Fields& fields) {
  Sample sample;
  sample.kind = kind;
  sample.label = label;
  sample.fields = {number("max_rows", 8), number("max_blocks", 2), number("codebooks", 0),
                   number("max_segments", 3)};
  sample.fields.insert(sample.fields.end(), fields.begin(), fields.end());
  return sample;
}

Sample load_rows(bool has_branches) {
  const char* label = has_branches ? "branches" : "one_branch";
  Sample sample = sample_with("LoadRows", label,
                              {number("array_rows", 20), number("width", 12),
                               number("has_branches", has_branches ? 1 : 0)});
  sample.inputs = {{"rows", kInt, {kRows}},
                   kLaunchPort,
                   {"array", kFloat, {5, has_branches ? 2 : 1, 20, 12}},
                   kToken};
  sample.outputs = {{"out", kFloat, {kRows, 12}}, kToken};
  return sample;
}

Sample modulated_norm() {
  Sample sample = sample_with("ModulatedNorm", "rows",
                              {number("schedule_rows", 32),
                               number("schedule_width", 100),
                               number("width", 12),
                               number("scale", 24),
                               number("shift", 88),
                               {"epsilon", Reals{1e-4F}}});
  sample.inputs = {{"x", kFloat, {kRows, 12}}, kLaunchPort, kSchedulePort, kToken};
  sample.outputs = {{"out", kFloat, {kRows, 12}}, kToken};
  return sample;
}

Sample add_modulated() {
  Sample sample = sample_with("AddModulated", "rows",
                              {number("schedule_rows", 32), number("schedule_width", 100),
                               number("width", 12), number("gate", 36)});
  sample.inputs = {{"x", kFloat, {kRows, 12}},
                   {"addend", kFloat, {kRows, 12}},
                   kLaunchPort,
                   kSchedulePort,
                   kToken};
  sample.outputs = {{"out", kFloat, {kRows, 12}}, kToken};
  return sample;
}

// 2 groups of 6 inputs and 16 outputs, 3 taps: 18 inputs of a product, which are padded to 32.
Sample grouped_conv() {
  Sample sample =
      sample_with("GroupedConv", "mish",
                  {number("width", 12), number("outputs", 32), number("groups", 2),
                   number("kernel", 3), number("activate", 4), number("weight_type", 2)});
  sample.inputs = {{"x", kFloat, {kRows, 12}},
                   kLaunchPort,
                   {"weight", Type::float16, {32, 32}},
                   {"bias", kFloat, {32}},
                   kToken};
  sample.outputs = {{"out", kFloat, {kRows, 32}}, kToken};
  return sample;
}

Sample flow_step() {
  Sample sample =
      sample_with("FlowStep", "rows",
                  {number("slots", 5), number("max_text_len", 7), number("max_context_rows", 20),
                   number("dim", 6), number("not_finite", 10), number("array_rows", 20)});
  sample.inputs = {{"velocity", kFloat, {kRows, 6}},
                   kLaunchPort,
                   {"slot_rules", kInt, {5, kRuleWords}, kWritten},
                   {"slot_states", kInt, {5, kStateWords}, kWritten},
                   {"visit_counts", kInt, {5, 7}, kWritten},
                   {"last_codes", kInt, {5, 1}, kWritten},
                   {"seen_codes", kInt, {5, 1}, kWritten},
                   {"context_rows", kFloat, {5, 120}, kWritten},
                   {"faults", kInt, {8}, kWritten},
                   {"base", kFloat, {5, 1, 20, 6}, kWritten},
                   {"fixed", kFloat, {5, 1, 20, 6}},
                   {"mask", kFloat, {5, 1, 20, 1}},
                   kToken};
  sample.outputs = {kToken};
  return sample;
}

// 4 heads of 8 dimensions that share 2 keys; the rope turns the first.
Sample item_attention() {
  Sample sample = sample_with("MaskedAttention", "item",
                              {number("heads", 4),
                               number("kv_heads", 2),
                               number("head_dim", 8),
                               number("is_causal", 0),
                               number("rope_rows", 50),
                               number("rope_width", 6),
                               number("rope_heads", 1),
                               number("has_head_norms", 1),
                               {"head_norm_epsilon", Reals{1e-5F}}});
  sample.inputs = {{"qkv", kFloat, {kRows, 64}},
                   kLaunchPort,
                   {"faults", kInt, {8}, kWritten},
                   {"rope", kFloat, {50, 6}},
                   {"q_norm", kFloat, {32}},
                   {"k_norm", kFloat, {16}},
                   kToken};
  sample.outputs = {{"out", kFloat, {kRows, 32}}, kToken};
  sample.needs_workspace = true;
  return sample;
}

}  // namespace

std::vector<Sample> item_samples() {
  return {load_rows(true), load_rows(false), modulated_norm(), add_modulated(),
          grouped_conv(),  flow_step(),      item_attention()};
}

}  // namespace ttsrt::plugins::test
