#include "model/block.h"

namespace ttsrt::model {

BlockWriter::BlockWriter(ops::Program& program, const StackConfig& config, StackState state)
    : program_(program), config_(config), state_(state) {
  x_ = program.add("x", config.dim);
  normed_ = program.add("normed", config.dim);
  qkv_ = program.add("qkv", 3 * std::int64_t{config.dim});
  attended_ = program.add("attended", config.dim);
  hidden_ = program.add("hidden", config.ffn_dim);
}

void BlockWriter::self_attention(const LayerWeights& weights, std::int32_t layer) {
  program_.ops.push_back(ops::Norm{x_, normed_, weights.self_norm});
  program_.ops.push_back(ops::Linear{normed_, qkv_, weights.self_qkv, {}});
  const std::int32_t cache = state_.is_cached ? layer : -1;
  program_.ops.push_back(ops::SelfAttention{qkv_, attended_, config_.heads, config_.head_dim(),
                                            cache, config_.is_causal});
  program_.ops.push_back(
      ops::Linear{attended_, x_, weights.self_out, {}, ops::Activate::none, true});
}

void BlockWriter::cross_attention(const CrossWeights& weights, const CrossConfig& cross,
                                  std::int32_t layer, ops::Memory memory, ops::BufferId scores) {
  if (query_ == ops::kNoBuffer) {
    query_ = program_.add("cross_query", cross.width());
    crossed_ = program_.add("crossed", cross.width());
  }
  program_.ops.push_back(ops::Norm{x_, normed_, weights.query_norm});
  program_.ops.push_back(ops::Linear{normed_, query_, weights.q, {}});
  program_.ops.push_back(
      ops::CrossAttention{query_, crossed_, scores, cross.heads, cross.head_dim, layer, memory});
  program_.ops.push_back(ops::Linear{crossed_, x_, weights.out, {}, ops::Activate::none, true});
}

ops::BufferId BlockWriter::convolve(ops::BufferId x, std::int32_t width, std::int32_t history,
                                    const char* name) {
  ops::BufferId& unfolded = width == config_.dim ? unfolded_in_ : unfolded_out_;
  if (unfolded == ops::kNoBuffer)
    unfolded = program_.add(name, std::int64_t{config_.kernel} * width);
  program_.ops.push_back(ops::Unfold{x, unfolded, config_.kernel, config_.is_causal,
                                     state_.keeps_convs ? history : -1});
  return unfolded;
}

void BlockWriter::feed_forward(const LayerWeights& weights, std::int32_t layer) {
  program_.ops.push_back(ops::Norm{x_, normed_, weights.ffn_norm});
  const bool is_conv = config_.kernel > 1;
  const ops::BufferId in =
      is_conv ? convolve(normed_, config_.dim, 2 * layer, "unfolded_in") : normed_;
  program_.ops.push_back(ops::Linear{in, hidden_, weights.ffn_in, {}, ops::Activate::gelu_tanh});
  const ops::BufferId out =
      is_conv ? convolve(hidden_, config_.ffn_dim, 2 * layer + 1, "unfolded_out") : hidden_;
  program_.ops.push_back(ops::Linear{out, x_, weights.ffn_out, {}, ops::Activate::none, true});
}

void BlockWriter::tap(const std::string& name) {
  const ops::BufferId copy = program_.add(name, config_.dim);
  program_.ops.push_back(ops::Unfold{x_, copy, 1, true, -1});
  program_.taps.push_back({name, copy});
}

ops::BufferId BlockWriter::finish(const StackWeights& weights) {
  if (!weights.norm_out.is_present()) return x_;
  const ops::BufferId out = program_.add("output", config_.dim);
  program_.ops.push_back(ops::Norm{x_, out, weights.norm_out});
  return out;
}

ops::NestedProgram write_nested(const std::string& name, const StackConfig& config,
                                const StackWeights& weights) {
  const auto program = std::make_shared<ops::Program>();
  program->name = name;
  BlockWriter block(*program, config, {});
  for (std::int32_t l = 0; l < config.layers; ++l) {
    const LayerWeights& layer = weights.layers[static_cast<std::size_t>(l)];
    block.self_attention(layer, l);
    block.feed_forward(layer, l);
  }
  ops::NestedProgram nested;
  nested.input = block.residual();
  nested.output = block.finish(weights);
  nested.program = program;
  return nested;
}

}  // namespace ttsrt::model
