#include "model/f5/flow.h"

#include <string>
#include <utility>

namespace ttsrt::model::f5 {
namespace {

constexpr float kEpsilon = 1e-6F;

// What a block takes of the schedule, in the order of its vectors.
enum Modulation : std::int32_t { kShift1, kScale1, kGate1, kShift2, kScale2, kGate2 };

class FlowWriter {
 public:
  FlowWriter(const Config& config, const Weights& weights, bool trace)
      : config_(config), weights_(weights), is_traced_(trace) {
    program_.name = "flow";
    program_.has_many_rows = true;
    state_ = program_.add("state", config.mel_bins);
    x_ = program_.add("x", config.dim);
    normed_ = program_.add("normed", config.dim);
    branch_ = program_.add("branch", config.dim);
    qkv_ = program_.add("qkv", 3 * std::int64_t{config.attention_width()});
    attended_ = program_.add("attended", config.attention_width());
    hidden_ = program_.add("hidden", config.ffn_dim);
    velocity_ = program_.add("velocity", config.mel_bins);
  }

  ops::Program write(std::int32_t max_frames) {
    const RopeTable rope = make_rope_table(config_.rope(), max_frames);
    rope_ = rope.weight;
    program_.constants.push_back(rope.values);
    input();
    for (std::int32_t l = 0; l < config_.layers; ++l) {
      program_.end_part();
      attention(l);
      feed_forward(l);
      if (is_traced_) tap("flow.layers." + std::to_string(l), x_, config_.dim);
    }
    program_.end_part();
    output();
    return std::move(program_);
  }

 private:
  ops::Weight at(const std::string& name) const { return weights_.at(name); }
  std::string layer_name(std::int32_t layer) const {
    return "decoder.layers." + std::to_string(layer) + ".";
  }
  std::int32_t column(std::int32_t layer, Modulation which) const {
    return (layer * kModulations + which) * config_.dim;
  }

  // The state's part of the input projection is added to the constant one; then the positions.
  void input() {
    ops::EmbedRows embed;
    embed.out = state_;
    program_.ops.emplace_back(embed);
    program_.ops.emplace_back(ops::LoadRows{x_, kInputRows});
    program_.ops.emplace_back(
        ops::Linear{state_, x_, at("input.noisy"), {}, ops::Activate::none, true});
    if (is_traced_) tap("flow.input_proj", x_, config_.dim);
    program_.ops.emplace_back(convolution("position_conv.0", x_, normed_, false));
    program_.ops.emplace_back(convolution("position_conv.1", normed_, x_, true));
    if (is_traced_ || config_.has_long_skip) input_ = tap("flow.input_embed", x_, config_.dim);
  }

  ops::GroupedConv convolution(const std::string& name, ops::BufferId x, ops::BufferId out,
                               bool accumulate) const {
    return {x,
            out,
            at(name),
            at(name + "_bias"),
            config_.conv_groups,
            config_.conv_kernel,
            ops::Activate::mish,
            accumulate};
  }

  void attention(std::int32_t layer) {
    const std::string name = layer_name(layer);
    program_.ops.emplace_back(
        ops::ModulatedNorm{x_, normed_, column(layer, kScale1), column(layer, kShift1), kEpsilon});
    program_.ops.emplace_back(
        ops::Linear{normed_, qkv_, at(name + "self_qkv"), at(name + "self_qkv_bias")});
    ops::SelfAttention attention;
    attention.qkv = qkv_;
    attention.out = attended_;
    attention.heads = config_.heads;
    attention.head_dim = config_.head_dim;
    attention.causal = false;
    attention.rope = rope_;
    attention.rope_heads = config_.rope_heads;
    // Keys and values are rounded to the build's type, but not to float16: they may exceed its
    // range.
    const DType build = at("modulation").dtype;
    attention.segment_dtype = build == DType::float16 ? DType::float32 : build;
    if (config_.has_head_norms) {
      attention.q_norm = at(name + "q_norm");
      attention.k_norm = at(name + "k_norm");
    }
    program_.ops.emplace_back(std::move(attention));
    if (layer + 1 == config_.layers && !is_traced_)
      program_.settled_begin = static_cast<std::int32_t>(program_.ops.size());
    program_.ops.emplace_back(
        ops::Linear{attended_, branch_, at(name + "self_out"), at(name + "self_out_bias")});
    program_.ops.emplace_back(ops::AddModulated{branch_, x_, column(layer, kGate1)});
  }

  void feed_forward(std::int32_t layer) {
    const std::string name = layer_name(layer);
    program_.ops.emplace_back(
        ops::ModulatedNorm{x_, normed_, column(layer, kScale2), column(layer, kShift2), kEpsilon});
    program_.ops.emplace_back(ops::Linear{normed_, hidden_, at(name + "ffn_in"),
                                          at(name + "ffn_in_bias"), ops::Activate::gelu_tanh});
    program_.ops.emplace_back(
        ops::Linear{hidden_, branch_, at(name + "ffn_out"), at(name + "ffn_out_bias")});
    program_.ops.emplace_back(ops::AddModulated{branch_, x_, column(layer, kGate2)});
  }

  // The last norm takes scale, then shift, where blocks take shift, then scale.
  void output() {
    ops::BufferId x = x_;
    if (config_.has_long_skip) {
      x = branch_;
      program_.ops.emplace_back(ops::Linear{x_, x, at("long_skip.hidden"), {}});
      program_.ops.emplace_back(
          ops::Linear{input_, x, at("long_skip.input"), {}, ops::Activate::none, true});
    }
    const std::int32_t scale = column(config_.layers, kShift1);
    program_.ops.emplace_back(ops::ModulatedNorm{x, normed_, scale, scale + config_.dim, kEpsilon});
    program_.ops.emplace_back(ops::Linear{normed_, velocity_, at("output"), at("output_bias")});
    program_.ops.emplace_back(ops::FlowStep{velocity_, kBaseRows, kPromptRows, kMaskRows});
    if (is_traced_) program_.taps.push_back({"flow.velocity", velocity_});
  }

  // A copy that nothing overwrites: windows of one row.
  ops::BufferId tap(const std::string& name, ops::BufferId buffer, std::int64_t width) {
    const ops::BufferId copy = program_.add(name, width);
    program_.ops.emplace_back(ops::Unfold{buffer, copy, 1, true, -1});
    if (is_traced_) program_.taps.push_back({name, copy});
    return copy;
  }

  const Config& config_;
  const Weights& weights_;
  bool is_traced_;
  ops::Program program_;
  ops::Weight rope_;
  ops::BufferId state_, x_, normed_, branch_, qkv_, attended_, hidden_, velocity_;
  ops::BufferId input_ = ops::kNoBuffer;  // x behind the input, where it is needed later
};

}  // namespace

ops::Program write_flow(const Config& config, const Weights& weights, std::int32_t max_frames,
                        bool trace) {
  return FlowWriter(config, weights, trace).write(max_frames);
}

}  // namespace ttsrt::model::f5
