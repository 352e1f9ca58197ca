// Benchmarks of sampling codes from independent heads and with a local transformer.
#include <algorithm>

#include "bench/op_case.h"
#include "bench/op_options.h"
#include "core/check.h"
#include "model/block.h"
#include "model/pack.h"

namespace ttsrt::bench {
namespace {

// Returns a guided request that samples from the 80 most likely codes, or takes the most likely.
step::SlotReset drawing(const CaseOptions& options, std::int32_t slot, float temperature) {
  step::SlotReset reset;
  reset.slot = slot;
  rules::SlotRules& rules = reset.rules;
  rules.cfg_scale = 2.5F;
  rules.codebooks = options.codebooks;
  rules.eos_id = options.vocab - 1;
  rules.sampler.temperature = temperature;
  rules.sampler.top_k = std::min(80, options.vocab);
  rules.sampler.seed = static_cast<std::uint64_t>(slot) + 1;
  return reset;
}

// Adds requests with a conditional and an unconditional row each; the input is [2 * rows, width].
ops::BufferId add_guided_input(const CaseOptions& options, std::int64_t width, OpCase& made) {
  check_bytes("rows", 8.0 * options.rows * static_cast<double>(width));
  made.state.slots = options.rows;
  made.state.codebooks = options.codebooks;
  const ops::BufferId input = add_input(made, 2 * options.rows, width, 2);
  for (const step::Segment& segment : made.batch.segments)
    made.batch.draws.push_back({segment.slot, segment.first_row, segment.first_row + 1});
  return input;
}

// Adds a product [rows, cols] of the local transformer, and counts it as often as a stack of codes
// runs it.
ops::Weight counted(const CaseOptions& options, std::int64_t rows, std::int64_t cols,
                    std::int64_t times, OpCase& made) {
  check_bytes("outputs, inputs and vocab", 4.0 * static_cast<double>(rows * cols));
  const ops::Weight weight = made.arrays.panel(rows, cols, panel_kind(options));
  made.bytes += times * static_cast<std::int64_t>(model::packed_bytes(weight));
  made.operations += times * 4 * options.rows * rows * cols;  // both branches
  return weight;
}

// A stack of random layers that runs once for each code.
ops::NestedProgram local_transformer(const CaseOptions& options, OpCase& made) {
  const std::int64_t width = options.outputs;
  const std::int64_t places = options.codebooks;
  model::StackConfig config;
  config.layers = options.layers;
  config.dim = options.outputs;
  config.ffn_dim = 4 * options.outputs;
  config.heads = options.heads;
  model::StackWeights weights;
  for (std::int32_t l = 0; l < options.layers; ++l) {
    model::LayerWeights layer;
    layer.self_norm = made.arrays.vector(width, 1.0F);
    layer.ffn_norm = made.arrays.vector(width, 1.0F);
    layer.self_qkv = counted(options, 3 * width, width, places, made);
    layer.self_out = counted(options, width, width, places, made);
    layer.ffn_in = counted(options, 4 * width, width, places, made);
    layer.ffn_out = counted(options, width, 4 * width, places, made);
    weights.layers.push_back(layer);
  }
  return model::write_nested("local_transformer", config, weights);
}

}  // namespace

std::unique_ptr<OpCase> make_sample_codes(const CaseOptions& options) {
  auto made = std::make_unique<OpCase>();
  const std::int64_t width = std::int64_t{options.codebooks} * options.vocab;
  const ops::BufferId logits = add_guided_input(options, width, *made);
  for (std::int32_t slot = 0; slot < options.rows; ++slot)
    made->resets.push_back(drawing(options, slot, 0.7F));
  made->bytes = 2 * options.rows * width * std::int64_t{sizeof(float)};
  made->operations = 3 * options.rows * width;  // guidance
  made->num_ops = options.is_check ? 1 : 8;
  ops::BufferId guided = ops::kNoBuffer;
  if (options.is_check)
    guided = made->result = made->program.add("guided", width, ops::RowSpace::draws);
  for (std::int32_t i = 0; i < made->num_ops; ++i)
    made->program.ops.emplace_back(
        ops::SampleCodes{logits, guided, options.codebooks, options.vocab});
  made->program.ops.emplace_back(ops::FinishStep{options.codebooks, 1});
  return made;
}

std::unique_ptr<OpCase> make_pick_codes(const CaseOptions& options) {
  TTSRT_CHECK(ConfigError, options.outputs % options.heads == 0, "outputs: expected a multiple of ",
              options.heads, " heads, got ", options.outputs);
  auto made = std::make_unique<OpCase>();
  const std::int64_t width = options.outputs;
  const std::int64_t places = options.codebooks;
  const std::int64_t logits = places * options.vocab;
  check_bytes("codebooks, vocab and inputs", 4.0 * static_cast<double>(logits) * options.inputs);
  check_bytes("layers and outputs", 48.0 * options.layers * static_cast<double>(width * width));
  ops::PickCodes op;
  op.hidden = add_guided_input(options, options.inputs, *made);
  for (std::int32_t slot = 0; slot < options.rows; ++slot) {
    made->resets.push_back(drawing(options, slot, 0.0F));
    made->resets.back().rules.use_local_transformer = true;
  }
  if (options.is_check) op.pick_logits = made->result = made->program.add("pick_logits", logits);
  op.codebooks = options.codebooks;
  op.vocab = options.vocab;
  op.dim = options.inputs;
  if (options.inputs != options.outputs) {
    op.in_proj = counted(options, width, options.inputs, places, *made);
    op.in_proj_bias = made->arrays.vector(width, 0.0F);
  }
  op.positions = made->arrays.table(places + 1, width, DType::float32);
  op.code_tables = made->arrays.table(logits, options.inputs, weight_dtype(options));
  op.network = local_transformer(options, *made);
  for (std::int32_t i = 0; i < options.codebooks; ++i)
    op.head_weights.push_back(counted(options, options.vocab, width, 1, *made));
  op.head_biases = made->arrays.vector(logits, 0.0F);
  made->num_ops = 1;
  made->program.ops.emplace_back(std::move(op));
  made->program.ops.emplace_back(ops::FinishStep{options.codebooks, 1});
  return made;
}

}  // namespace ttsrt::bench
