#include "model/block.h"

namespace ttsrt::model {

BlockWriter::BlockWriter(ops::Program& program, const BlockConfig& config, StackState state)
    : program_(program), config_(config), state_(state) {
  x_ = program.add("x", config.dim);
  normed_ = program.add("normed", config.dim);
  qkv_ = program.add("qkv", config.qkv_width());
  attended_ = program.add("attended", config.attention_width());
  hidden_ = program.add("hidden", config.ffn_dim);
  if (config.is_gated) gates_ = program.add("gates", 2 * std::int64_t{config.ffn_dim});
  if (config.is_parallel) branch_ = program.add("branch", config.dim);
}

void BlockWriter::use_rope(const RopeTable& rope) {
  rope_ = rope.weight;
  if (rope.values != nullptr) program_.constants.push_back(rope.values);
}

ops::Norm BlockWriter::norm(const ops::Weight& weight, const ops::Weight& bias,
                            ops::BufferId out) const {
  return {x_, out, weight, config_.norm_epsilon, config_.norm, bias};
}

void BlockWriter::self_attention(const LayerWeights& weights, std::int32_t layer,
                                 const ScoredHeads& scored) {
  program_.ops.emplace_back(norm(weights.self_norm, weights.self_norm_bias, normed_));
  program_.ops.emplace_back(ops::Linear{normed_, qkv_, weights.self_qkv, weights.self_qkv_bias});
  ops::SelfAttention attention;
  attention.qkv = qkv_;
  attention.out = attended_;
  attention.heads = config_.heads;
  attention.head_dim = config_.head_dim();
  attention.cache_layer = state_.is_cached ? layer : -1;
  attention.causal = config_.is_causal;
  attention.kv_heads = config_.kv_heads;
  attention.scale = config_.attention_scale;
  attention.rope = rope_;
  if (scored.heads != 0) {
    attention.scores = scored.scores;
    attention.score_heads = scored.heads;
    attention.score_share = scored.share;
  }
  program_.ops.emplace_back(attention);
  const bool is_branch = config_.is_parallel;
  program_.ops.emplace_back(ops::Linear{attended_, is_branch ? branch_ : x_, weights.self_out,
                                        weights.self_out_bias, ops::Activate::none, !is_branch});
}

void BlockWriter::cross_attention(const CrossWeights& weights, const CrossConfig& cross,
                                  std::int32_t layer, ops::Memory memory, ops::BufferId scores) {
  if (query_ == ops::kNoBuffer) {
    query_ = program_.add("cross_query", cross.width());
    crossed_ = program_.add("crossed", cross.width());
  }
  program_.ops.emplace_back(norm(weights.query_norm, {}, normed_));
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
  if (!config_.is_parallel)
    program_.ops.emplace_back(norm(weights.ffn_norm, weights.ffn_norm_bias, normed_));
  const bool is_conv = config_.kernel > 1;
  const ops::BufferId in =
      is_conv ? convolve(normed_, config_.dim, 2 * layer, "unfolded_in") : normed_;
  if (config_.is_gated) {
    program_.ops.emplace_back(ops::Linear{in, gates_, weights.ffn_in, weights.ffn_in_bias});
    program_.ops.emplace_back(ops::Gate{gates_, hidden_, config_.activation});
  } else {
    program_.ops.emplace_back(
        ops::Linear{in, hidden_, weights.ffn_in, weights.ffn_in_bias, config_.activation});
  }
  const ops::BufferId out =
      is_conv ? convolve(hidden_, config_.ffn_dim, 2 * layer + 1, "unfolded_out") : hidden_;
  program_.ops.emplace_back(ops::Linear{out, x_, weights.ffn_out, weights.ffn_out_bias,
                                        ops::Activate::none, true, branch_});
}

void BlockWriter::tap(const std::string& name) {
  const ops::BufferId copy = program_.add(name, config_.dim);
  program_.ops.push_back(ops::Unfold{x_, copy, 1, true, -1});
  program_.taps.push_back({name, copy});
}

ops::BufferId BlockWriter::finish(const StackWeights& weights) {
  if (!weights.norm_out.is_present()) return x_;
  const ops::BufferId out = program_.add("output", config_.dim);
  program_.ops.emplace_back(norm(weights.norm_out, weights.norm_out_bias, out));
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
