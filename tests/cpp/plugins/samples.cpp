#include "samples.h"

#include <stdexcept>

#include "cuda/views.h"
#include "rules/slot_rules.h"

namespace ttsrt::plugins::test {
namespace {

constexpr Type kInt = Type::int32;
constexpr Type kFloat = Type::float32;
constexpr Type kHalf = Type::float16;
constexpr bool kWritten = true;

// The launch of all samples: 8 rows, 4 draws, 2 blocks, 3 codebooks. Its tables have 10 counts, 16
// numbers for each row, 9 for each draw, 2 blocks and 3 ids for each row, and 3 ids for each draw.
constexpr std::int64_t kLaunchNumbers = 10 + 16 * 8 + 9 * 4 + 2 * 8 + 3 * 8 + 3 * 4;
constexpr auto kRuleWords = static_cast<std::int64_t>(sizeof(rules::SlotRules) / 4);
constexpr auto kStateWords = static_cast<std::int64_t>(sizeof(rules::SlotState) / 4);

template <class T>
std::vector<T> operator+(std::vector<T> a, const std::vector<T>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Field number(const char* name, std::int32_t value) { return {name, Numbers{value}}; }

Field real(const char* name, float value) { return {name, Reals{value}}; }

const Fields kLaunch = {number("max_rows", 8), number("max_draws", 4), number("max_blocks", 2),
                        number("codebooks", 3), number("code_width", 3)};
const Fields kSlots = {number("slots", 5), number("max_text_len", 7), number("seen_vocab", 40),
                       number("max_context_rows", 6), number("dim", 16)};
const Fields kFaults = {number("not_finite", 10), number("no_choice", 11)};

const PortRow kRowsPort = {"rows", kInt, {kRows}};
const PortRow kLaunchPort = {"launch", kInt, {kLaunchNumbers}};
const PortRow kFaultsPort = {"faults", kInt, {8}, kWritten};
const PortRow kToken = {"token", kInt, {1}};
const std::vector<PortRow> kSlotPorts = {{"slot_rules", kInt, {5, kRuleWords}, kWritten},
                                         {"slot_states", kInt, {5, kStateWords}, kWritten},
                                         {"visit_counts", kInt, {5, 7}, kWritten},
                                         {"last_codes", kInt, {5, 3}, kWritten},
                                         {"seen_codes", kInt, {5, 6}, kWritten},
                                         {"context_rows", kFloat, {5, 96}, kWritten}};

Sample codes() {
  Sample sample;
  sample.kind = "CodebookEmbed";
  sample.label = "codes";
  sample.fields = kLaunch + kSlots + kFaults +
                  Fields{number("width", 16),
                         number("table_type", 2),
                         number("table_codebooks", 3),
                         number("table_vocab", 10),
                         {"position_rows", Numbers{30}}};
  sample.inputs = std::vector<PortRow>{kRowsPort, kLaunchPort, {"vectors", kFloat, {4, 16}}} +
                  kSlotPorts +
                  std::vector<PortRow>{kFaultsPort,
                                       {"code_tables", kHalf, {30, 16}},
                                       {"position_table0", kHalf, {30, 16}},
                                       kToken};
  sample.outputs = {{"out", kFloat, {kRows, 16}}, kToken};
  return sample;
}

// Positions are float32 in engines of float16.
Sample wide_positions() {
  Sample sample = codes();
  sample.label = "wide_positions";
  sample.fields = with(sample.fields, "position_type", 0);
  sample.inputs[sample.inputs.size() - 2].type = Type::float32;
  return sample;
}

Sample ids() {
  Sample sample;
  sample.kind = "CodebookEmbed";
  sample.label = "ids";
  sample.fields = kLaunch + Fields{number("slots", 5),
                                   number("width", 12),
                                   number("table_type", 0),
                                   {"id_rows", Numbers{20, 21}},
                                   {"position_rows", Numbers{30, 31}},
                                   number("adds_positions", 0)};
  sample.inputs = std::vector<PortRow>{kRowsPort,
                                       kLaunchPort,
                                       {"vectors", kFloat, {4, 12}},
                                       {"slot_rules", kInt, {5, kRuleWords}, kWritten},
                                       {"slot_states", kInt, {5, kStateWords}, kWritten},
                                       {"visit_counts", kInt, {5, 1}, kWritten},
                                       {"last_codes", kInt, {5, 3}, kWritten},
                                       {"seen_codes", kInt, {5, 1}, kWritten},
                                       {"context_rows", kFloat, {5, 1}, kWritten},
                                       kFaultsPort,
                                       {"id_table0", kFloat, {20, 12}},
                                       {"id_table1", kFloat, {21, 12}},
                                       {"position_table0", kFloat, {30, 12}},
                                       {"position_table1", kFloat, {31, 12}},
                                       kToken};
  sample.outputs = {{"out", kFloat, {kRows, 12}}, kToken};
  return sample;
}

const std::vector<PortRow> kOutcomePorts = {{"sampled", kInt, {4, 3}, kWritten},
                                            {"likeliest", kInt, {4, 3}, kWritten},
                                            {"alignment", kFloat, {4, 7}, kWritten},
                                            {"results", kInt, {4, 5}, kWritten}};
const PortRow kScoresPort = {"scores", kFloat, {4, 7}, kWritten};
const PortRow kTimesPort = {"given_times", kInt, {2, 4}, kWritten};

// 4 heads of 8 dimensions that share 2 keys.
const Fields kHeads = {number("heads", 4), number("kv_heads", 2), number("head_dim", 8)};

Sample cached_attention() {
  Sample sample;
  sample.kind = "MaskedAttention";
  sample.label = "cached";
  sample.fields =
      kLaunch + kSlots + kFaults + kHeads +
      Fields{
          number("cache_type", 2),       number("cache_blocks", 40), number("single_rows", 1),
          number("rope_rows", 50),       number("rope_width", 6),    number("score_heads_low", 5),
          number("score_heads_high", 1), real("score_share", 0.25F), real("scale", 0.5F)};
  sample.inputs = std::vector<PortRow>{{"qkv", kFloat, {kRows, 64}},
                                       kLaunchPort,
                                       kFaultsPort,
                                       {"cache", kHalf, {40, 2, 2, 16, 8}, kWritten},
                                       {"rope", kFloat, {50, 6}}} +
                  kSlotPorts + std::vector<PortRow>{kScoresPort, kToken};
  sample.outputs = {{"out", kFloat, {kRows, 32}}, kToken};
  return sample;
}

Sample segment_attention() {
  Sample sample;
  sample.kind = "MaskedAttention";
  sample.label = "segment";
  sample.fields = kLaunch + kHeads + Fields{number("is_causal", 0)};
  sample.inputs = {{"qkv", kFloat, {kRows, 64}}, kLaunchPort, kFaultsPort, kToken};
  sample.outputs = {{"out", kFloat, {kRows, 32}}, kToken};
  return sample;
}

// The memory of 3 layers: 6 blocks of each slot, of which the context has those from 4 on; 2 heads
// of 10 dimensions, padded to 12.
Fields memory(std::int32_t layer, std::int32_t type) {
  return {number("cache_type", type), number("cache_blocks", 6), number("layers", 3),
          number("layer", layer),     number("first_block", 4),  number("is_context", 1),
          number("heads", 2),         number("head_dim", 10)};
}

Sample store_memory() {
  Sample sample;
  sample.kind = "StoreMemory";
  sample.label = "context";
  sample.fields = kLaunch + kFaults + memory(1, 0);
  sample.inputs = {{"kv", kFloat, {kRows, 40}},
                   kLaunchPort,
                   kFaultsPort,
                   {"memory", kFloat, {5, 3, 6, 2, 2, 16, 12}, kWritten},
                   kToken};
  sample.outputs = {kToken};
  return sample;
}

Sample cross_attention(bool has_scores) {
  Sample sample;
  sample.kind = "CrossAttentionPrior";
  sample.label = has_scores ? "scores" : "plain";
  sample.fields = kLaunch + kSlots + memory(2, 2) +
                  Fields{number("has_scores", has_scores ? 1 : 0), number("kept_memory", 1)};
  sample.inputs = std::vector<PortRow>{{"q", kFloat, {kRows, 20}}, kLaunchPort} + kSlotPorts +
                  std::vector<PortRow>{{"memory", kHalf, {5, 3, 6, 2, 2, 16, 12}}};
  if (has_scores) {
    sample.inputs =
        sample.inputs + std::vector<PortRow>{kScoresPort,
                                             {"head_scores", kFloat, {4, 2, 7}, kWritten},
                                             {"heads_done", kInt, {4}, kWritten}};
  }
  sample.inputs.push_back(kToken);
  sample.outputs = {{"out", kFloat, {kRows, 20}}, kToken};
  return sample;
}

Sample store_context() {
  Sample sample;
  sample.kind = "StoreContext";
  sample.label = "rows";
  sample.fields = kLaunch + kSlots + kFaults;
  sample.inputs = std::vector<PortRow>{{"x", kFloat, {kRows, 16}}, kLaunchPort} + kSlotPorts +
                  std::vector<PortRow>{kFaultsPort, kToken};
  sample.outputs = {kToken};
  return sample;
}

Sample unfold(bool has_history) {
  Sample sample;
  sample.kind = "Unfold";
  sample.label = has_history ? "history" : "segment";
  sample.fields = kLaunch + Fields{number("width", 16), number("kernel", 3),
                                   number("is_causal", has_history ? 1 : 0),
                                   number("has_history", has_history ? 1 : 0)};
  sample.inputs = {{"x", kFloat, {kRows, 16}}, kLaunchPort};
  if (has_history) sample.inputs.push_back({"history", kFloat, {5, 2, 2, 16}, kWritten});
  sample.inputs.push_back(kToken);
  sample.outputs = {{"out", kFloat, {kRows, 48}}, kToken};
  return sample;
}

Sample clear_scores() {
  Sample sample;
  sample.kind = "ClearScores";
  sample.label = "draws";
  sample.fields = kLaunch + kSlots;
  sample.inputs = {kRowsPort, kLaunchPort, kScoresPort, kToken};
  sample.outputs = {kToken};
  return sample;
}

Sample update_prior() {
  Sample sample;
  sample.kind = "PriorUpdate";
  sample.label = "draws";
  sample.fields = kLaunch + kSlots + kFaults;
  sample.inputs = std::vector<PortRow>{kRowsPort, kLaunchPort} + kSlotPorts + kOutcomePorts +
                  std::vector<PortRow>{kFaultsPort, kScoresPort, kToken};
  sample.outputs = {kToken};
  return sample;
}

Sample finish_step() {
  Sample sample;
  sample.kind = "FinishStep";
  sample.label = "draws";
  sample.fields = kLaunch + kSlots;
  sample.inputs = std::vector<PortRow>{kRowsPort, kLaunchPort} + kSlotPorts + kOutcomePorts +
                  std::vector<PortRow>{kToken};
  sample.outputs = {kToken};
  return sample;
}

Sample guided_sample() {
  Sample sample;
  sample.kind = "GuidedSample";
  sample.label = "traced";
  sample.fields =
      kLaunch + kSlots + kFaults + Fields{number("vocab", 10), number("keep_guided", 1)};
  sample.inputs = std::vector<PortRow>{{"logits", kFloat, {kRows, 30}}, kLaunchPort} + kSlotPorts +
                  kOutcomePorts +
                  std::vector<PortRow>{kFaultsPort, {"guided", kFloat, {4, 30}, kWritten}, kToken};
  sample.outputs = {kToken};
  sample.needs_workspace = true;
  return sample;
}

Sample begin_launch() {
  Sample sample;
  sample.kind = "BeginLaunch";
  sample.label = "scores";
  sample.fields = kLaunch + kSlots + Fields{number("clear_scores", 1)};
  sample.inputs = std::vector<PortRow>{kRowsPort, kLaunchPort, kFaultsPort} + kOutcomePorts +
                  std::vector<PortRow>{kScoresPort, kTimesPort, kToken};
  sample.outputs = {kToken};
  return sample;
}

Sample give_results() {
  Sample sample;
  sample.kind = "GiveResults";
  sample.label = "stages";
  sample.fields = kLaunch + kSlots;
  sample.inputs = std::vector<PortRow>{kRowsPort, kLaunchPort, kFaultsPort} + kOutcomePorts +
                  std::vector<PortRow>{kTimesPort,
                                       {"given_faults", kInt, {2, 8}, kWritten},
                                       {"given_draws", kInt, {2, 4, 5}, kWritten},
                                       {"given_codes", kInt, {2, 4, 3}, kWritten},
                                       {"given_scores", kFloat, {2, 4, 7}, kWritten},
                                       kToken};
  sample.outputs = {kToken};
  return sample;
}

// Activations x [8], normed [8], qkv [16], attended [8], hidden [24] and gated [12]: a layer of
// norm, attention of 2 heads over 1 key of 4 dimensions, and a gated feed-forward.
const Numbers kNestedOps = {0, 0, 1, 1, 0, 0,  0, 0,   // norm, RMS
                            1, 1, 2, 0, 0, -1, 1, 0,   // qkv, with a bias
                            3, 2, 3, 2, 1, 4,  1, 4,   // attention, with a rope
                            1, 3, 0, 0, 1, -1, 0, 0,   // out, accumulated
                            0, 0, 1, 0, 1, 0,  0, 0,   // norm, with a bias
                            1, 1, 4, 0, 0, -1, 0, 0,   // feed-forward
                            2, 4, 5, 2, 0, 0,  0, 0,   // its gate
                            1, 5, 0, 0, 0, 0,  0, 0};  // and its end, to which x is added

Sample local_transformer(bool is_maskgit) {
  Sample sample;
  sample.kind = "LocalTransformer";
  sample.label = is_maskgit ? "maskgit" : "in_order";
  sample.fields = kLaunch + kSlots + kFaults +
                  Fields{{"nested_widths", Numbers{8, 8, 16, 8, 24, 12}},
                         {"nested_ops", kNestedOps},
                         {"nested_reals", Reals{1e-5F, 0, 0, 0, 1e-6F, 0, 0, 0}},
                         number("vocab", 10),
                         number("width", is_maskgit ? 8 : 20),
                         number("weight_type", is_maskgit ? 0 : 2),
                         number("has_in_proj", is_maskgit ? 0 : 1),
                         number("has_in_proj_bias", is_maskgit ? 0 : 1),
                         number("has_head_biases", 1),
                         number("keep_logits", is_maskgit ? 0 : 1)};
  if (is_maskgit) {
    sample.fields = sample.fields +
                    Fields{number("is_maskgit", 1), number("max_passes", 3), number("mask_id", 9)};
  }
  const Type type = is_maskgit ? kFloat : kHalf;
  // Products are padded to 16 outputs, and to 4 inputs of float32 or 16 of float16.
  const auto padded = [is_maskgit](std::int64_t outputs, std::int64_t inputs) {
    const std::int64_t unit = is_maskgit ? 4 : 16;
    return Dims{(outputs + 15) / 16 * 16, (inputs + unit - 1) / unit * unit};
  };
  const std::int64_t width = is_maskgit ? 8 : 20;
  const std::int64_t places = is_maskgit ? 4 : 3;
  sample.inputs =
      std::vector<PortRow>{{"hidden", kFloat, {kRows, width}}, kLaunchPort} + kSlotPorts +
      kOutcomePorts +
      std::vector<PortRow>{
          kFaultsPort, {"code_tables", type, {30, width}}, {"positions", kFloat, {places, 8}}};
  if (!is_maskgit) {
    sample.inputs.push_back({"in_proj", type, padded(8, 20)});
    sample.inputs.push_back({"in_proj_bias", kFloat, {8}});
  }
  sample.inputs =
      sample.inputs +
      std::vector<PortRow>{{"head0", type, padded(10, 8)},      {"head1", type, padded(10, 8)},
                           {"head2", type, padded(10, 8)},      {"head_biases", kFloat, {30}},
                           {"op0.weight", kFloat, {8}},         {"op1.weight", type, padded(16, 8)},
                           {"op1.bias", kFloat, {16}},          {"op2.rope", kFloat, {places, 4}},
                           {"op3.weight", type, padded(8, 8)},  {"op4.weight", kFloat, {8}},
                           {"op4.bias", kFloat, {8}},           {"op5.weight", type, padded(24, 8)},
                           {"op7.weight", type, padded(8, 12)}, kToken};
  if (!is_maskgit) sample.outputs.push_back({"pick_logits", kFloat, {kRows, 30}});
  sample.outputs.push_back(kToken);
  sample.needs_workspace = true;
  return sample;
}

}  // namespace

const std::vector<Sample>& samples() {
  static const std::vector<Sample> all = std::vector<Sample>{codes(),
                                                             wide_positions(),
                                                             ids(),
                                                             cached_attention(),
                                                             segment_attention(),
                                                             store_memory(),
                                                             cross_attention(true),
                                                             cross_attention(false),
                                                             store_context(),
                                                             unfold(true),
                                                             unfold(false),
                                                             clear_scores(),
                                                             update_prior(),
                                                             finish_step(),
                                                             guided_sample(),
                                                             begin_launch(),
                                                             give_results(),
                                                             local_transformer(false),
                                                             local_transformer(true)} +
                                         item_samples();
  return all;
}

const Sample& sample_of(const std::string& kind, const std::string& label) {
  for (const Sample& sample : samples()) {
    if (sample.kind == kind && sample.label == label) return sample;
  }
  throw std::runtime_error("no sample " + kind + " " + label);
}

Fields with(Fields fields, const std::string& name, Numbers values) {
  for (Field& field : fields) {
    if (field.name == name) {
      field.values = std::move(values);
      return fields;
    }
  }
  fields.push_back({name, std::move(values)});
  return fields;
}

Fields with(Fields fields, const std::string& name, std::int32_t value) {
  return with(std::move(fields), name, Numbers{value});
}

}  // namespace ttsrt::plugins::test
