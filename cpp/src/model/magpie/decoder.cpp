#include "model/magpie/decoder.h"

#include "model/block.h"

namespace ttsrt::model::magpie {
namespace {

ops::EmbedRows embed_of(const Source& source, const StackWeights& weights, ops::BufferId out) {
  const Config& config = source.config;
  ops::EmbedRows embed;
  embed.out = out;
  embed.codebooks = config.stack_codes();
  embed.vocab = config.codebook_vocab;
  embed.code_tables = source.weights.at("audio_embeddings");
  if (config.context_text != ContextText::none) {
    embed.id_tables = {source.weights.at("text_embedding")};
  }
  if (config.context_text == ContextText::own) {
    embed.id_tables.push_back(source.weights.at("context_text_embedding"));
  }
  embed.position_tables = {weights.positions};
  return embed;
}

void write_cross(const Source& source, BlockWriter& block, std::int32_t layer,
                 ops::BufferId scores) {
  const CrossConfig& cross = source.config.cross;
  const auto at = static_cast<std::size_t>(layer);
  if (cross.sees_text[at])
    block.cross_attention(load_cross(source.weights, "decoder", layer, cross), cross, layer,
                          ops::Memory::text, scores);
  if (cross.sees_context[at]) {
    block.cross_attention(load_cross(source.weights, "decoder", layer, cross), cross, layer,
                          ops::Memory::context, ops::kNoBuffer);
  }
}

ops::PickCodes pick_codes_of(const Source& source, ops::BufferId hidden) {
  const Config& config = source.config;
  const StackConfig& stack = config.local.stack;
  const StackWeights weights = load_stack(source.weights, "local_transformer", stack);
  ops::PickCodes pick;
  pick.hidden = hidden;
  pick.maskgit = config.local.kind == LocalKind::maskgit;
  pick.codebooks = config.stack_codes();
  pick.vocab = config.codebook_vocab;
  pick.dim = config.dim;
  pick.mask_id = config.tokens.mask;
  if (config.local.has_in_projection) {
    pick.in_proj = source.weights.at("local_transformer.in_proj");
    pick.in_proj_bias = source.weights.at("local_transformer.in_proj_bias");
  }
  pick.positions = weights.positions;
  pick.code_tables = source.weights.at("audio_embeddings");
  pick.network = write_nested("local_transformer", stack, weights);
  for (std::int32_t i = 0; i < pick.codebooks; ++i) {
    pick.head_weights.push_back(source.weights.at("local_transformer.heads." + std::to_string(i)));
  }
  pick.head_biases = source.weights.at("local_transformer.heads_bias");
  return pick;
}

}  // namespace

ops::Program write_prefill(const Source& source, bool trace) {
  const StackConfig& config = source.config.decoder;
  const bool has_convs = config.kernel > 1;
  ops::Program program;
  program.name = "prefill";
  const StackWeights weights = load_stack(source.weights, "decoder", config);
  BlockWriter block(program, config, {true, has_convs});
  ops::EmbedRows embed = embed_of(source, weights, block.residual());
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
    write_cross(source, block, l, ops::kNoBuffer);
    block.feed_forward(layer, l);
  }
  return program;
}

ops::Program write_decode(const Source& source, std::int32_t max_text_len, bool trace) {
  const Config& config = source.config;
  ops::Program program;
  program.name = "decode";
  const StackWeights weights = load_stack(source.weights, "decoder", config.decoder);
  BlockWriter block(program, config.decoder, {true, config.decoder.kernel > 1});
  const ops::BufferId scores = program.add("scores", max_text_len, ops::RowSpace::draws);
  program.ops.push_back(ops::ClearScores{scores});
  program.ops.push_back(embed_of(source, weights, block.residual()));
  for (std::int32_t l = 0; l < config.decoder.layers; ++l) {
    const LayerWeights& layer = weights.layers[static_cast<std::size_t>(l)];
    block.self_attention(layer, l);
    write_cross(source, block, l, scores);
    block.feed_forward(layer, l);
    if (trace) block.tap("decoder.layers." + std::to_string(l));
  }
  const ops::BufferId hidden = block.finish(weights);
  const std::int64_t width = std::int64_t{config.stack_codes()} * config.codebook_vocab;
  const ops::BufferId logits = program.add("logits", width);
  const ops::BufferId guided =
      trace ? program.add("guided", width, ops::RowSpace::draws) : ops::kNoBuffer;
  program.ops.push_back(ops::Linear{hidden, logits, source.weights.at("final_proj"),
                                    source.weights.at("final_proj_bias")});
  program.ops.push_back(ops::UpdatePrior{scores});
  program.ops.push_back(
      ops::SampleCodes{logits, guided, config.stack_codes(), config.codebook_vocab});
  ops::BufferId pick_logits = ops::kNoBuffer;
  if (config.local.kind != LocalKind::none) {
    ops::PickCodes pick = pick_codes_of(source, hidden);
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

}  // namespace ttsrt::model::magpie
