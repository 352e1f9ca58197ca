// Benchmarks of products, norms and embeddings.
#include "bench/op_case.h"
#include "bench/op_options.h"
#include "model/pack.h"

namespace ttsrt::bench {
namespace {

std::int64_t row_bytes(const CaseOptions& options, std::int64_t width) {
  return options.rows * width * std::int64_t{sizeof(float)};
}

// Counts bytes and operations of "linear" and "norm_linear".
void count_product(const CaseOptions& options, const ops::Weight& weight, OpCase& made) {
  std::size_t stored = model::packed_bytes(weight);
  if (weight.scales != nullptr) stored += model::packed_bytes(model::scales_of(weight));
  made.bytes = static_cast<std::int64_t>(stored) +
               row_bytes(options, std::int64_t{options.inputs} + options.outputs);
  made.operations = std::int64_t{2} * options.rows * options.outputs * options.inputs;
  made.num_ops =
      repeats_of(options, static_cast<double>(stored), static_cast<double>(made.operations));
}

// Starts a case whose input is [rows, inputs] of one slot.
std::unique_ptr<OpCase> start(const CaseOptions& options, ops::BufferId& x) {
  const double widest = std::max(options.inputs, options.outputs);
  check_bytes("outputs and inputs", 4.0 * options.outputs * options.inputs);
  check_bytes("rows", 4.0 * options.rows * widest);
  auto made = std::make_unique<OpCase>();
  made->state.slots = 1;
  x = add_input(*made, options.rows, options.inputs, options.rows);
  return made;
}

}  // namespace

std::unique_ptr<OpCase> make_linear(const CaseOptions& options) {
  ops::BufferId x = ops::kNoBuffer;
  auto made = start(options, x);
  const ops::Weight weight =
      made->arrays.panel(options.outputs, options.inputs, panel_kind(options));
  count_product(options, weight, *made);
  made->result = made->program.add("y", options.outputs);
  for (std::int32_t i = 0; i < made->num_ops; ++i) {
    const bool shares = i == 0 || options.resident;
    const ops::Weight own = shares ? weight : made->arrays.copy(weight);
    made->program.ops.emplace_back(
        ops::Linear{x, made->result, own, {}, ops::Activate::none, false});
  }
  return made;
}

// Every product has normalised rows that no other op reads, because otherwise they are not fused.
std::unique_ptr<OpCase> make_norm_linear(const CaseOptions& options) {
  ops::BufferId x = ops::kNoBuffer;
  auto made = start(options, x);
  const ops::Weight weight =
      made->arrays.panel(options.outputs, options.inputs, panel_kind(options));
  const ops::Weight norm = made->arrays.vector(options.inputs, 1.0F);
  count_product(options, weight, *made);
  made->result = made->program.add("y", options.outputs);
  for (std::int32_t i = 0; i < made->num_ops; ++i) {
    const bool shares = i == 0 || options.resident;
    const ops::Weight own = shares ? weight : made->arrays.copy(weight);
    const ops::BufferId normed = made->program.add("normed", options.inputs);
    made->program.ops.emplace_back(ops::Norm{x, normed, norm, 1e-5F});
    made->program.ops.emplace_back(
        ops::Linear{normed, made->result, own, {}, ops::Activate::none, false});
  }
  return made;
}

std::unique_ptr<OpCase> make_layer_norm(const CaseOptions& options) {
  ops::BufferId x = ops::kNoBuffer;
  auto made = start(options, x);
  const ops::Weight norm = made->arrays.vector(options.inputs, 1.0F);
  made->bytes = row_bytes(options, std::int64_t{2} * options.inputs);
  made->operations = std::int64_t{7} * options.rows * options.inputs;  // mean, variance, scaling
  made->num_ops = repeats_of(options, static_cast<double>(made->bytes),
                             static_cast<double>(made->operations), 16);
  made->result = made->program.add("normed", options.inputs);
  for (std::int32_t i = 0; i < made->num_ops; ++i)
    made->program.ops.emplace_back(ops::Norm{x, made->result, norm, 1e-5F});
  return made;
}

// The rows repeat, so the cache lines of the tables are cached from the second iteration on.
std::unique_ptr<OpCase> make_embed_rows(const CaseOptions& options) {
  const std::int64_t table_rows = std::int64_t{options.codebooks} * options.vocab;
  check_bytes("codebooks, vocab and outputs",
              4.0 * static_cast<double>(table_rows) * options.outputs);
  check_bytes("rows", 4.0 * options.rows * options.outputs);
  auto made = std::make_unique<OpCase>();
  made->state.slots = 1;
  made->state.codebooks = options.codebooks;
  ops::EmbedRows op;
  op.out = made->result = made->program.add("x", options.outputs);
  op.code_tables = made->arrays.table(table_rows, options.outputs, weight_dtype(options));
  op.codebooks = options.codebooks;
  op.vocab = options.vocab;
  step::Segment segment;
  segment.rows = options.rows;
  segment.input = step::Input::codes;
  segment.ids =
      made->arrays.random_ids(std::int64_t{options.rows} * options.codebooks, options.vocab);
  made->batch.segments.push_back(segment);
  made->batch.rows = options.rows;
  const std::int64_t read = std::int64_t{options.codebooks} * options.outputs;
  made->bytes = options.rows * read * static_cast<std::int64_t>(size_of(weight_dtype(options))) +
                row_bytes(options, options.outputs);
  made->operations = options.rows * read;
  made->num_ops = options.is_check ? 1 : 16;
  for (std::int32_t i = 0; i < made->num_ops; ++i) made->program.ops.emplace_back(op);
  return made;
}

}  // namespace ttsrt::bench
