#include "samples.h"

#include "cuda/views.h"
#include "rules/slot_rules.h"

namespace ttsrt::plugins::test {
namespace {

constexpr Type kInt = Type::int32;
constexpr Type kFloat = Type::float32;
constexpr Type kHalf = Type::float16;
constexpr bool kWritten = true;

// The launch of all samples: 8 rows, 4 draws, 2 blocks, 3 codebooks. Its tables have 9 counts, 16
// numbers for each row, 9 for each draw, 2 blocks and 3 ids for each row, and 3 ids for each draw.
constexpr std::int64_t kLaunchNumbers = 9 + 16 * 8 + 9 * 4 + 2 * 8 + 3 * 8 + 3 * 4;
constexpr auto kRuleWords = static_cast<std::int64_t>(sizeof(rules::SlotRules) / 4);
constexpr auto kStateWords = static_cast<std::int64_t>(sizeof(rules::SlotState) / 4);

Fields operator+(Fields a, const Fields& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
std::vector<PortRow> operator+(std::vector<PortRow> a, const std::vector<PortRow>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Field number(const char* name, std::int32_t value) { return {name, Numbers{value}}; }

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

}  // namespace

const std::vector<Sample>& samples() {
  static const std::vector<Sample> all = {codes(), ids()};
  return all;
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
