#include "model/decoder.h"

#include "model/block.h"

namespace ttsrt::model {
namespace {

ops::EmbedRows embed_of(const EngineData& engine, const StackWeights& weights, ops::BufferId out) {
  const ModelConfig& config = engine.config;
  ops::EmbedRows embed;
  embed.out = out;
  embed.codebooks = config.stack_codes();
  embed.vocab = config.codebook_vocab;
  embed.code_tables = engine.weight(
      "audio_embeddings", std::int64_t{config.stack_codes()} * config.codebook_vocab, config.dim);
  if (config.context_text != ContextText::none) {
    embed.id_tables = {engine.weight("text_embedding", config.text_vocab, config.dim)};
  }
  if (config.context_text == ContextText::own) {
    embed.id_tables.push_back(
        engine.weight("context_text_embedding", config.context_text_vocab, config.dim));
  }
  embed.position_tables = {weights.positions};
  return embed;
}

void write_cross(const EngineData& engine, BlockWriter& block, std::int32_t layer,
                 ops::BufferId scores) {
  const CrossConfig& cross = engine.config.cross;
  const auto at = static_cast<std::size_t>(layer);
  if (cross.sees_text[at])
    block.cross_attention(load_cross(engine, layer), cross, layer, ops::Memory::text, scores);
  if (cross.sees_context[at]) {
    block.cross_attention(load_cross(engine, layer), cross, layer, ops::Memory::context,
                          ops::kNoBuffer);
  }
}

ops::PickCodes pick_codes_of(const EngineData& engine, ops::BufferId hidden) {
  const ModelConfig& config = engine.config;
  const StackConfig& stack = config.local.stack;
  const StackWeights weights = load_stack(engine, "local_transformer", stack);
  ops::PickCodes pick;
  pick.hidden = hidden;
  pick.maskgit = config.local.kind == LocalKind::maskgit;
  pick.codebooks = config.stack_codes();
  pick.vocab = config.codebook_vocab;
  pick.dim = config.dim;
  pick.width = stack.dim;
  pick.ffn_dim = stack.ffn_dim;
  pick.heads = stack.heads;
  pick.mask_id = config.tokens.mask;
  if (config.local.has_in_projection) {
    pick.in_proj = engine.weight("local_transformer.in_proj", stack.dim, config.dim);
    pick.in_proj_bias = engine.weight("local_transformer.in_proj_bias", 1, stack.dim);
  }
  pick.positions = weights.positions;
  pick.audio_tables =
      engine.weight("audio_embeddings", std::int64_t{pick.codebooks} * pick.vocab, config.dim);
  for (const LayerWeights& of : weights.layers) {
    pick.layers.push_back(
        {of.self_norm, of.self_qkv, of.self_out, of.ffn_norm, of.ffn_in, of.ffn_out});
  }
  for (std::int32_t i = 0; i < pick.codebooks; ++i) {
    pick.head_weights.push_back(
        engine.weight("local_transformer.heads." + std::to_string(i), pick.vocab, stack.dim));
  }
  pick.head_biases = engine.weight("local_transformer.heads_bias", pick.codebooks, pick.vocab);
  return pick;
}

}  // namespace

ops::Program write_prefill(const EngineData& engine, bool trace) {
  const StackConfig& config = engine.config.decoder;
  const bool has_convs = config.kernel > 1;
  ops::Program program;
  program.name = "prefill";
  const StackWeights weights = load_stack(engine, "decoder", config);
  BlockWriter block(program, config, {true, has_convs});
  ops::EmbedRows embed = embed_of(engine, weights, block.residual());
  program.ops.push_back(embed);
  if (trace) {  // the context rows as they are before their positions
    embed.out = program.add("context_embedding", config.dim);
    embed.adds_positions = false;
    program.ops.push_back(embed);
    program.taps.push_back({"context_embedding", embed.out});
  }
  for (std::int32_t l = 0; l < config.layers; ++l) {
    const LayerWeights& layer = weights.layers[static_cast<std::size_t>(l)];
    block.self_attention(layer, l);
    if (l + 1 == config.layers && !has_convs) {
      program.ops.pop_back();  // nothing reads the last layer's output: only its keys and values
                               // are wanted
      break;
    }
    write_cross(engine, block, l, ops::kNoBuffer);
    block.feed_forward(layer, l);
  }
  return program;
}

ops::Program write_decode(const EngineData& engine, bool trace) {
  const ModelConfig& config = engine.config;
  ops::Program program;
  program.name = "decode";
  const StackWeights weights = load_stack(engine, "decoder", config.decoder);
  BlockWriter block(program, config.decoder, {true, config.decoder.kernel > 1});
  const ops::BufferId scores =
      program.add("scores", engine.limits.max_encoder_input_len, ops::RowSpace::draws);
  program.ops.push_back(ops::ClearScores{scores});
  program.ops.push_back(embed_of(engine, weights, block.residual()));
  for (std::int32_t l = 0; l < config.decoder.layers; ++l) {
    const LayerWeights& layer = weights.layers[static_cast<std::size_t>(l)];
    block.self_attention(layer, l);
    write_cross(engine, block, l, scores);
    block.feed_forward(layer, l);
    if (trace) block.tap("decoder.layers." + std::to_string(l));
  }
  const ops::BufferId hidden = block.finish(weights);
  const std::int64_t width = std::int64_t{config.stack_codes()} * config.codebook_vocab;
  const ops::BufferId logits = program.add("logits", width);
  const ops::BufferId guided =
      trace ? program.add("guided", width, ops::RowSpace::draws) : ops::kNoBuffer;
  program.ops.push_back(ops::Linear{hidden, logits, engine.weight("final_proj", width, config.dim),
                                    engine.weight("final_proj_bias", 1, width)});
  program.ops.push_back(ops::UpdatePrior{scores});
  program.ops.push_back(
      ops::SampleCodes{logits, guided, config.stack_codes(), config.codebook_vocab});
  ops::BufferId pick_logits = ops::kNoBuffer;
  if (config.local.kind != LocalKind::none) {
    ops::PickCodes pick = pick_codes_of(engine, hidden);
    if (trace) pick.pick_logits = pick_logits = program.add("pick_logits", width);
    program.ops.push_back(std::move(pick));
  }
  program.ops.push_back(ops::FinishStep{config.stack_codes(), config.frame_stacking});
  if (trace) {
    program.taps.push_back({"dec_hidden", hidden});
    program.taps.push_back({"logits", logits});
    program.taps.push_back({"logits_guided", guided});
    program.taps.push_back({"align_scores", scores});
    if (pick_logits != ops::kNoBuffer) program.taps.push_back({"lt_logits", pick_logits});
  }
  return program;
}

}  // namespace ttsrt::model
