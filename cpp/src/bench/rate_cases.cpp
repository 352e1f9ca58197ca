// Benchmarks of the ops of neural codecs.
#include <algorithm>

#include "bench/op_case.h"
#include "bench/op_options.h"
#include "model/pack.h"

namespace ttsrt::bench {
namespace {

constexpr std::int32_t kTaps = 7;

}  // namespace

std::unique_ptr<OpCase> make_time_conv(const CaseOptions& options) {
  const std::int64_t cols = std::int64_t{kTaps} * options.inputs;
  check_bytes("outputs and inputs", 4.0 * options.outputs * static_cast<double>(cols));
  check_bytes("rows", 4.0 * options.rows * std::max(options.outputs, options.inputs));
  auto made = std::make_unique<OpCase>();
  made->state.slots = 1;
  ops::TimeConv op;
  op.x = add_input(*made, options.rows, options.inputs, options.rows);
  op.out = made->result = made->program.add("y", options.outputs);
  op.weight = made->arrays.panel(options.outputs, cols, {weight_dtype(options), {}});
  op.bias = made->arrays.vector(options.outputs, 0.0F);
  op.kernel = kTaps;
  op.before = kTaps - 1;
  const auto stored = static_cast<std::int64_t>(model::packed_bytes(op.weight));
  const std::int64_t values = std::int64_t{options.inputs} + options.outputs;
  made->bytes = stored + options.rows * values * std::int64_t{sizeof(float)};
  made->operations = std::int64_t{2} * options.rows * options.outputs * cols;
  made->num_ops =
      repeats_of(options, static_cast<double>(stored), static_cast<double>(made->operations));
  const ops::Weight first = op.weight;
  for (std::int32_t i = 0; i < made->num_ops; ++i) {
    if (i > 0 && !options.resident) op.weight = made->arrays.copy(first);
    made->program.ops.emplace_back(op);
  }
  return made;
}

}  // namespace ttsrt::bench
