// The transformer block that all stacks are made of, written as operations. Its variants are the
// fields of BlockConfig (model/config.h).
//
//   x += SelfAttention(N(x));  x += CrossAttention(N(x), memory);  x += FFN(N(x))
//
// or, in parallel, x += SelfAttention(n) + FFN(n) with n = N(x), summed as x + (attention + ffn).
// The feed-forward is two convolutions of `kernel` taps with an activation or a gate between them;
// one tap is a plain product.
#pragma once

#include <string>

#include "model/config.h"
#include "model/stack_weights.h"
#include "ops/program.h"

namespace ttsrt::model {

// How a stack's self-attention and convolutions keep state.
struct StackState {
  bool is_cached = false;    // keys and values go to the paged cache, layer l to cache layer l
  bool keeps_convs = false;  // conv histories 2l and 2l + 1 of the slot
};

// Where the self-attention of a layer adds its alignment with the text
// (ops::SelfAttention::scores).
struct ScoredHeads {
  ops::BufferId scores = ops::kNoBuffer;
  std::uint64_t heads = 0;
  float share = 1.0F;
};

// Writes the layers of one stack into a Program. Buffers are shared by all layers.
class BlockWriter {
 public:
  // `config` outlives the writer.
  BlockWriter(ops::Program& program, const BlockConfig& config, StackState state);

  // Rotates queries and keys, where the blocks have a rope. The Program keeps the table.
  void use_rope(const RopeTable& rope);

  ops::BufferId residual() const { return x_; }     // [rows, dim]
  ops::BufferId normed() const { return normed_; }  // scratch [rows, dim]
  void self_attention(const LayerWeights& weights, std::int32_t layer,
                      const ScoredHeads& scored = {});
  void cross_attention(const CrossWeights& weights, const CrossConfig& cross, std::int32_t layer,
                       ops::Memory memory, ops::BufferId scores);
  void feed_forward(const LayerWeights& weights, std::int32_t layer);
  // Keeps x as it stands now under a name for traces: a copy that nothing overwrites (Unfold with
  // one tap).
  void tap(const std::string& name);
  // x, or its final norm in a buffer of its own.
  ops::BufferId finish(const StackWeights& weights);

 private:
  ops::BufferId convolve(ops::BufferId x, std::int32_t width, std::int32_t history,
                         const char* name);

  ops::Norm norm(const ops::Weight& weight, const ops::Weight& bias, ops::BufferId out) const;

  ops::Program& program_;
  const BlockConfig& config_;
  StackState state_;
  ops::BufferId x_, normed_, qkv_, attended_, hidden_;
  ops::Weight rope_;
  ops::BufferId gates_ = ops::kNoBuffer;   // gated blocks
  ops::BufferId branch_ = ops::kNoBuffer;  // parallel blocks: what attention adds
  ops::BufferId query_ = ops::kNoBuffer;
  ops::BufferId crossed_ = ops::kNoBuffer;
  ops::BufferId unfolded_in_ = ops::kNoBuffer;
  ops::BufferId unfolded_out_ = ops::kNoBuffer;
};

// A stack of its own inside an op: self-attention and feed-forward of each layer, then the final
// norm where there is one.
ops::NestedProgram write_nested(const std::string& name, const StackConfig& config,
                                const StackWeights& weights);

}  // namespace ttsrt::model
