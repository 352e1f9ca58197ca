// Helpers that drive a Backend in tests: a small state, batches of segments, and Programs of
// EmbedRows followed by one op.
//
// A test writes its inputs as vectors of a segment, and EmbedRows without tables copies them into
// an activation. Every op can thus be tested on any backend through its public interface.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "ops/backend.h"
#include "ops/program.h"
#include "step/batch.h"

namespace ttsrt::test {

// A batch under construction, with the arrays that its segments point to.
class TestBatch {
 public:
  // Adds rows given as vectors [rows, width].
  step::Segment& add_vectors(std::int32_t slot, std::int32_t rows, std::vector<float> values) {
    vectors_.push_back(std::make_unique<std::vector<float>>(std::move(values)));
    step::Segment& segment = add(slot, rows, step::Input::vectors);
    segment.vectors = vectors_.back()->data();
    return segment;
  }

  step::Segment& add_ids(std::int32_t slot, std::int32_t rows, step::Input input,
                         std::vector<std::int32_t> ids) {
    step::Segment& segment = add(slot, rows, input);
    segment.ids = keep(std::move(ids));
    return segment;
  }

  step::Segment& add(std::int32_t slot, std::int32_t rows, step::Input input) {
    step::Segment segment;
    segment.slot = slot;
    segment.first_row = batch.rows;
    segment.rows = rows;
    segment.input = input;
    batch.rows += rows;
    batch.segments.push_back(segment);
    return batch.segments.back();
  }

  // Sets the block table of the newest segment.
  void set_blocks(std::vector<std::int32_t> blocks) {
    batch.segments.back().num_blocks = static_cast<std::int32_t>(blocks.size());
    batch.segments.back().blocks = keep(std::move(blocks));
  }

  // Learned positions of the newest segment.
  void set_learned(std::int32_t table, std::int32_t first_position) {
    batch.segments.back().position_table = table;
    batch.segments.back().first_position = first_position;
  }

  void add_draw(std::int32_t slot, std::int32_t conditional_row,
                std::int32_t unconditional_row = -1) {
    batch.draws.push_back({slot, conditional_row, unconditional_row});
  }

  step::RowBatch batch;

 private:
  const std::int32_t* keep(std::vector<std::int32_t> values) {
    ids_.push_back(std::make_unique<std::vector<std::int32_t>>(std::move(values)));
    return ids_.back()->data();
  }

  std::vector<std::unique_ptr<std::vector<float>>> vectors_;
  std::vector<std::unique_ptr<std::vector<std::int32_t>>> ids_;
};

// Starts a Program with an op that copies the segments' vectors into an activation of this width;
// returns that buffer.
inline ops::BufferId add_input(ops::Program& program, std::int64_t width) {
  ops::EmbedRows embed;
  embed.out = program.add("input", width);
  program.ops.emplace_back(embed);
  return embed.out;
}

// Makes a flight of what is queued and collects it.
inline step::StepOutput run_queued(ops::Backend& backend) {
  step::StepOutput output;
  backend.collect(backend.submit(), output);
  return output;
}

// Compiles and runs a Program once, with what was queued before it; `output` may take the outcome.
inline std::unique_ptr<ops::Executable> run_program(ops::Backend& backend,
                                                    const ops::Program& program,
                                                    const step::RowBatch& batch,
                                                    step::StepOutput* output = nullptr) {
  ops::ProgramLimits limits;
  limits.max_rows = batch.rows > 0 ? batch.rows : 1;
  limits.max_draws = static_cast<std::int32_t>(batch.draws.size()) + 1;
  std::unique_ptr<ops::Executable> executable = backend.compile(program, limits);
  executable->launch(batch);
  step::StepOutput outcome = run_queued(backend);
  if (output != nullptr) *output = std::move(outcome);
  return executable;
}

// Returns the first `count` values of an activation.
inline std::vector<float> values_of(const ops::Executable& executable, ops::BufferId buffer,
                                    std::int64_t count) {
  const float* values = executable.activation(buffer);
  return std::vector<float>(values, values + count);
}

// Returns the sizes of a small state with every part.
inline ops::StateSpec small_state(std::int32_t slots = 3) {
  ops::StateSpec spec;
  spec.slots = slots;
  spec.cache_layers = 2;
  spec.cache_heads = 2;
  spec.cache_head_dim = 8;
  spec.num_blocks = 12;
  spec.memory_layers = 3;
  spec.memory_heads = 2;
  spec.memory_head_dim = 8;
  spec.max_text_len = 24;
  spec.max_context_memory = 20;
  spec.max_context_rows = 20;
  spec.dim = 16;
  spec.convs = {{3, 16}, {2, 8}};
  spec.codebooks = 4;
  return spec;
}

}  // namespace ttsrt::test
