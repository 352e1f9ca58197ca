#include "model/block_decoder.h"

#include <string>
#include <utility>

#include "model/block.h"

namespace ttsrt::model {
namespace {

// Embeds rows and runs all layers; returns their hidden states.
ops::BufferId write_layers(const CausalDecoder& decoder, const StackConfig& config,
                           ops::Program& program, bool trace) {
  BlockWriter block(program, config, {true, false});
  block.use_rope(decoder.rope);
  ops::EmbedRows embed = decoder.embed;
  embed.out = block.residual();
  program.ops.emplace_back(std::move(embed));
  for (std::int32_t l = 0; l < config.layers; ++l) {
    const LayerWeights& layer = decoder.stack.layers[static_cast<std::size_t>(l)];
    block.self_attention(layer, l);
    block.feed_forward(layer, l);
    if (trace) block.tap("decoder.layers." + std::to_string(l));
  }
  return block.finish(decoder.stack);
}

}  // namespace

ops::Program write_start(const CausalDecoder& decoder) {
  ops::Program program;
  program.name = "start";
  const ops::BufferId hidden = write_layers(decoder, decoder.config, program, false);
  program.ops.emplace_back(ops::StoreContext{hidden});
  return program;
}

ops::Program write_blocks(const BlockDecoder& blocks, bool trace) {
  const CausalDecoder& decoder = blocks.decoder;
  StackConfig config = decoder.config;
  config.is_causal = false;
  ops::Program program;
  program.name = "blocks";
  const ops::BufferId hidden = write_layers(decoder, config, program, trace);
  const auto vocab = static_cast<std::int32_t>(decoder.head.rows);
  const ops::BufferId shifted = program.add("shifted", config.dim);
  const ops::BufferId logits = program.add("logits", vocab);
  const ops::BufferId scores = program.add("scores", blocks.block_rows, ops::RowSpace::draws);
  program.ops.emplace_back(ops::ShiftBlock{hidden, shifted});
  program.ops.emplace_back(ops::Linear{shifted, logits, decoder.head, decoder.head_bias});
  program.ops.emplace_back(ops::GuessBlock{logits, scores, blocks.prior, blocks.block_rows, vocab});
  program.ops.emplace_back(ops::FinishBlock{scores, blocks.block_rows});
  if (trace) {
    program.taps.push_back({"dec_hidden", hidden});
    program.taps.push_back({"logits", logits});
    program.taps.push_back({"scores", scores});
  }
  return program;
}

std::vector<FamilyProgram> programs_of(const BlockDecoder& blocks, const Limits& limits,
                                       std::int32_t branches, bool trace) {
  std::vector<FamilyProgram> programs;
  programs.push_back(
      {"prefill", step::Pace::chunked, write_prefill(blocks.decoder), limits.max_num_tokens, 0});
  programs.push_back(
      {"start", step::Pace::chunked, write_start(blocks.decoder), limits.max_num_tokens, 0});
  programs.push_back({"blocks", step::Pace::stepwise, write_blocks(blocks, trace),
                      branches * limits.max_batch_size * blocks.block_rows, limits.max_batch_size});
  return programs;
}

}  // namespace ttsrt::model
