#include "model/magpie/encoder.h"

#include "model/block.h"

namespace ttsrt::model::magpie {
namespace {

ops::BufferId write_layers(const Source& source, ops::Program& program, const std::string& prefix,
                           const StackConfig& config, ops::EmbedRows embed, bool trace) {
  const StackWeights weights = load_stack(source.weights, prefix, config);
  BlockWriter block(program, config, {});
  embed.out = block.residual();
  embed.position_tables = {weights.positions};
  program.ops.push_back(embed);
  for (std::int32_t l = 0; l < config.layers; ++l) {
    const LayerWeights& layer = weights.layers[static_cast<std::size_t>(l)];
    block.self_attention(layer, l);
    block.feed_forward(layer, l);
    if (trace) block.tap(prefix + ".layers." + std::to_string(l));
    program.end_part();
  }
  return block.finish(weights);
}

// Keys and values of every decoder layer that sees this memory.
void write_projections(const Source& source, ops::Program& program, ops::BufferId memory_rows,
                       ops::Memory memory) {
  const Config& config = source.config;
  const ops::BufferId normed = program.add("memory_normed", config.dim);
  const ops::BufferId kv = program.add("memory_kv", 2 * std::int64_t{config.cross.width()});
  const std::vector<bool>& sees =
      memory == ops::Memory::text ? config.cross.sees_text : config.cross.sees_context;
  for (std::int32_t l = 0; l < config.decoder.layers; ++l) {
    if (!sees[static_cast<std::size_t>(l)]) continue;
    const CrossWeights weights = load_cross(source.weights, "decoder", l, config.cross);
    ops::BufferId rows = memory_rows;
    if (weights.memory_norm.is_present()) {
      program.ops.push_back(ops::Norm{memory_rows, normed, weights.memory_norm});
      rows = normed;
    }
    program.ops.push_back(ops::Linear{rows, kv, weights.kv, {}});
    program.ops.push_back(ops::StoreMemory{kv, l, memory});
  }
}

}  // namespace

ops::Program write_text_encoder(const Source& source, bool trace) {
  ops::Program program;
  program.name = "text_encoder";
  ops::EmbedRows embed;
  embed.id_tables = {source.weights.at("text_embedding")};
  const ops::BufferId out =
      write_layers(source, program, "text_encoder", source.config.text_encoder, embed, trace);
  if (trace) program.taps.push_back({"encoder_out", out});
  write_projections(source, program, out, ops::Memory::text);
  program.ops.emplace_back(ops::EmitRows{out});  // for texts in chunks, which keep some of them
  return program;
}

ops::Program write_memory_projection(const Source& source) {
  ops::Program program;
  program.name = "memory_projection";
  ops::EmbedRows embed;
  embed.out = program.add("encoder_output", source.config.dim);
  program.ops.push_back(embed);
  write_projections(source, program, embed.out, ops::Memory::text);
  return program;
}

ops::Program write_context_encoder(const Source& source, bool trace) {
  const Config& config = source.config;
  ops::Program program;
  program.name = "context_encoder";
  ops::EmbedRows embed;
  embed.code_tables = source.weights.at("audio_embeddings");
  embed.codebooks = config.stack_codes();
  embed.vocab = config.codebook_vocab;
  embed.id_tables = {source.weights.at("text_embedding")};
  if (config.context_text == ContextText::own) {
    embed.id_tables.push_back(source.weights.at("context_text_embedding"));
  }
  const ops::BufferId out =
      write_layers(source, program, "context_encoder", config.context_encoder, embed, trace);
  if (trace && config.context == ContextKind::memory)
    program.taps.push_back({"context_embedding", out});
  if (config.context == ContextKind::memory) {
    write_projections(source, program, out, ops::Memory::context);
  } else {
    program.ops.push_back(ops::StoreContext{out});
  }
  return program;
}

}  // namespace ttsrt::model::magpie
