// A Program as a network of TensorRT: products, norms and gates as native layers, everything that a
// slot keeps or a draw decides as our plugins, which call the kernels of the CUDA backend. What
// begins a launch and what gives its results runs beside the network, as it does beside captured
// graphs.
//
// Decided: the parts of a Program, between which a launch may pause, are one network, because
// TensorRT takes seconds for each, however small. The first part runs all of it.
//
// Activations are tensors of the network, in the order of the ops. Those that a trace keeps or that
// come back to the host leave it through an output; those that a plugin writes in place (scores of
// draws) are bound. A token goes through all plugins, so that TensorRT neither drops nor reorders
// them. Weights of native layers are constants of the plan; tables, ropes and the weights of a
// local transformer are bound, and all plans share them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cuda/launch_rows.h"
#include "ops/backend.h"
#include "tensorrt/driver.h"

namespace ttsrt::tensorrt {

// What the runner binds to an input or an output.
enum class Home : std::int32_t {
  idle,  // nobody reads or writes it: rows, token
  launch,
  vectors,
  faults,
  slot_rules,
  slot_states,
  visit_counts,
  last_codes,
  seen_codes,
  context_rows,
  sampled,
  likeliest,
  alignment,
  results,
  cache,    // of a layer
  memory,   // of all layers
  history,  // of a convolution
  schedule,
  row_array,  // of whole items
  head_scores,
  heads_done,
  activation,  // of a buffer
  table,
  product,
};

struct Binding {
  std::string name;
  Home home = Home::idle;
  std::int32_t index = 0;   // layer, convolution or buffer
  ops::Weight weight = {};  // of tables and products
  bool is_output = false;
  Type type = Type::float32;
  Dims dims = {};

  std::int64_t bytes(std::int64_t rows) const;  // with so many rows
};

// Returns why a Program can't be a network; empty: it can. Types are not checked. Of Programs of
// whole items, only evaluations of a flow are networks.
std::string refusal(const ops::Program& program);
// Throws ConfigError for weights or a cache of another type than float32 and float16, by name.
void check_types(const ops::Program& program, const ops::StateSpec& state);

class ProgramNetworks {
 public:
  // For a Program without refusal, which stays where it is. Throws as check_types.
  ProgramNetworks(const ops::Program& program, const ops::ProgramLimits& limits,
                  const ops::StateSpec& state);

  // Writes the network, and returns what is bound to it.
  std::vector<Binding> write(NetworkWriter& writer) const;
  std::string text() const;  // as NetworkText has it

  const ops::Program& program() const { return program_; }
  const ops::ProgramLimits& limits() const { return limits_; }
  const ops::StateSpec& state() const { return state_; }
  const cuda::RowLimits& rows() const { return rows_; }
  bool uses_float16() const;                                 // in products
  bool has_single_rows() const { return has_single_rows_; }  // in all launches
  // Scores that are cleared as a launch begins, or kNoBuffer.
  ops::BufferId cleared_scores() const { return cleared_scores_; }
  ops::BufferId emitted() const;
  std::int32_t most_passes() const;  // of MaskGit that a launch may make
  std::int32_t most_score_heads() const;

  // Whether a buffer leaves the network: a trace keeps it, or it comes back to the host.
  bool is_left(ops::BufferId buffer) const;

 private:
  void find_cleared_scores();

  const ops::Program& program_;
  ops::ProgramLimits limits_;
  ops::StateSpec state_;
  cuda::RowLimits rows_;
  bool has_single_rows_ = false;
  ops::BufferId cleared_scores_ = ops::kNoBuffer;
};

}  // namespace ttsrt::tensorrt
