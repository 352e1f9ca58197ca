// One or more sets of attributes for every plugin, with the tensors that it then takes and gives:
// the shape table, written by hand.
#pragma once

#include <string>
#include <vector>

#include "common/fields.h"
#include "common/types.h"

namespace ttsrt::plugins::test {

struct PortRow {
  std::string name;
  Type type;
  Dims dims;  // of a call with kRows rows
  bool is_written = false;
};

struct Sample {
  std::string kind;
  std::string label;
  Fields fields;
  std::vector<PortRow> inputs;
  std::vector<PortRow> outputs;
  bool needs_workspace = false;
};

constexpr std::int64_t kRows = 6;

const std::vector<Sample>& samples();
std::vector<Sample> item_samples();  // of these, those of whole items
const Sample& sample_of(const std::string& kind, const std::string& label);

// The fields of a sample with one of them replaced or added.
Fields with(Fields fields, const std::string& name, std::int32_t value);
Fields with(Fields fields, const std::string& name, Numbers values);

}  // namespace ttsrt::plugins::test
