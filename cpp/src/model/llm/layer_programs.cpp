#include "model/llm/layer_programs.h"

#include "core/check.h"

namespace ttsrt::model::llm {
namespace {

using ops::BufferId;

class Writer {
 public:
  Writer(ops::Program& program, const StackConfig& config, const LayerWeights& weights,
         const RopeTable& rope)
      : program_(program), config_(config), weights_(weights), rope_(rope.weight) {
    if (rope.values != nullptr) program_.constants.push_back(rope.values);
  }

  BufferId input(std::int32_t width) {
    ops::EmbedRows embed;
    embed.out = program_.add("x", width);
    program_.ops.emplace_back(embed);
    return embed.out;
  }

  BufferId norm(BufferId x, const ops::Weight& weight, const ops::Weight& bias, const char* name) {
    const BufferId out = program_.add(name, config_.dim);
    program_.ops.emplace_back(ops::Norm{x, out, weight, config_.norm_epsilon, config_.norm, bias});
    return out;
  }

  // The input of the last product of self-attention.
  BufferId attended(BufferId normed) {
    ops::SelfAttention attention;
    attention.qkv = product(normed, config_.qkv_width(), weights_.self_qkv, weights_.self_qkv_bias);
    attention.out = program_.add("attn_out", config_.attention_width());
    attention.heads = config_.heads;
    attention.head_dim = config_.head_dim();
    attention.cache_layer = 0;
    attention.causal = config_.is_causal;
    attention.kv_heads = config_.kv_heads;
    attention.scale = config_.attention_scale;
    attention.rope = rope_;
    program_.ops.emplace_back(attention);
    return attention.out;
  }

  // The input of the last product of the feed-forward.
  BufferId hidden(BufferId normed) {
    const std::int32_t inner = config_.ffn_dim;
    if (!config_.is_gated)
      return product(normed, inner, weights_.ffn_in, weights_.ffn_in_bias, config_.activation);
    const BufferId gates = product(normed, 2 * inner, weights_.ffn_in, weights_.ffn_in_bias);
    const BufferId out = program_.add("mlp_out", inner);
    program_.ops.emplace_back(ops::Gate{gates, out, config_.activation});
    return out;
  }

  BufferId self_out(BufferId attended) {
    return product(attended, config_.dim, weights_.self_out, weights_.self_out_bias);
  }
  BufferId ffn_out(BufferId hidden) {
    return product(hidden, config_.dim, weights_.ffn_out, weights_.ffn_out_bias);
  }
  // x += product + addend
  void add_self_out(BufferId attended, BufferId x) {
    program_.ops.emplace_back(ops::Linear{attended, x, weights_.self_out, weights_.self_out_bias,
                                          ops::Activate::none, true});
  }
  void add_ffn_out(BufferId hidden, BufferId x, BufferId addend = ops::kNoBuffer) {
    program_.ops.emplace_back(ops::Linear{hidden, x, weights_.ffn_out, weights_.ffn_out_bias,
                                          ops::Activate::none, true, addend});
  }

  void tap(const char* name, BufferId buffer) { program_.taps.push_back({name, buffer}); }

  // Returns the rows behind the layer.
  BufferId whole(BufferId x) {
    const BufferId normed = norm(x, weights_.self_norm, weights_.self_norm_bias, "attn_in");
    tap("attn_in", normed);
    const BufferId mixed = attended(normed);
    tap("attn_out", mixed);
    BufferId second = normed;
    BufferId addend = ops::kNoBuffer;
    if (config_.is_parallel) {
      addend = self_out(mixed);
    } else {
      add_self_out(mixed, x);
      second = norm(x, weights_.ffn_norm, weights_.ffn_norm_bias, "mlp_in");
      tap("mlp_in", second);
    }
    const BufferId inner = hidden(second);
    tap("mlp_out", inner);
    add_ffn_out(inner, x, addend);
    return x;
  }

 private:
  BufferId product(BufferId x, std::int32_t width, const ops::Weight& weight,
                   const ops::Weight& bias, ops::Activate activate = ops::Activate::none) {
    const BufferId out = program_.add(weight.name, width);
    program_.ops.emplace_back(ops::Linear{x, out, weight, bias, activate, false});
    return out;
  }

  ops::Program& program_;
  const StackConfig& config_;
  const LayerWeights& weights_;
  const ops::Weight rope_;
};

BufferId write(LayerPart part, Writer& writer, BufferId x) {
  switch (part) {
    case LayerPart::layer:
      return writer.whole(x);
    case LayerPart::attention:
      return writer.self_out(writer.attended(x));
    case LayerPart::feed_forward:
      return writer.ffn_out(writer.hidden(x));
    case LayerPart::both: {
      const BufferId sum = writer.self_out(writer.attended(x));
      writer.add_ffn_out(writer.hidden(x), sum);
      return sum;
    }
    case LayerPart::self_out:
      return writer.self_out(x);
    case LayerPart::ffn_out:
      return writer.ffn_out(x);
  }
  throw InternalError("layer: an unknown part");
}

}  // namespace

const std::vector<std::string>& layer_part_names() {
  static const std::vector<std::string> names = {"layer", "attention", "mlp",
                                                 "both",  "self_out",  "ffn_out"};
  return names;
}

std::int32_t width_of(LayerPart part, const StackConfig& config) {
  if (part == LayerPart::self_out) return config.attention_width();
  return part == LayerPart::ffn_out ? config.ffn_dim : config.dim;
}

ops::Program write_layer_part(LayerPart part, const StackConfig& config,
                              const LayerWeights& weights, const RopeTable& rope) {
  ops::Program program;
  program.name = layer_part_names()[static_cast<std::size_t>(part)];
  Writer writer(program, config, weights, rope);
  const BufferId x = writer.input(width_of(part, config));
  writer.tap("out", write(part, writer, x));
  return program;
}

}  // namespace ttsrt::model::llm
