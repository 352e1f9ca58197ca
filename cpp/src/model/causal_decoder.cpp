#include "model/causal_decoder.h"

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "model/block.h"
#include "model/request_rows.h"

namespace ttsrt::model {
namespace {

constexpr std::int64_t kMaxCount = 1 << 20;

BlockWriter start(const CausalDecoder& decoder, ops::Program& program) {
  BlockWriter block(program, decoder.config, {true, false});
  block.use_rope(decoder.rope);
  ops::EmbedRows embed = decoder.embed;
  embed.out = block.residual();
  program.ops.emplace_back(std::move(embed));
  return block;
}

// The heads of a layer that add to the alignment.
ScoredHeads scored_heads(const CausalDecoder& decoder, std::int32_t layer, ops::BufferId scores) {
  ScoredHeads scored{scores, 0, 1.0F};
  for (const AlignmentHead& of : decoder.alignment) {
    if (of.layer == layer) scored.heads |= std::uint64_t{1} << of.head;
  }
  if (scored.heads != 0) scored.share = 1.0F / static_cast<float>(decoder.alignment.size());
  return scored;
}

}  // namespace

ops::Program write_prefill(const CausalDecoder& decoder) {
  ops::Program program;
  program.name = "prefill";
  BlockWriter block = start(decoder, program);
  for (std::int32_t l = 0; l < decoder.config.layers; ++l) {
    const LayerWeights& layer = decoder.stack.layers[static_cast<std::size_t>(l)];
    block.self_attention(layer, l);
    if (l + 1 == decoder.config.layers) {
      program.ops.pop_back();  // only keys and values are wanted of the last layer
      break;
    }
    block.feed_forward(layer, l);
  }
  return program;
}

ops::Program write_score(const CausalDecoder& decoder) {
  ops::Program program;
  program.name = "score";
  BlockWriter block = start(decoder, program);
  for (std::int32_t l = 0; l < decoder.config.layers; ++l) {
    const LayerWeights& layer = decoder.stack.layers[static_cast<std::size_t>(l)];
    block.self_attention(layer, l);
    block.feed_forward(layer, l);
  }
  const ops::BufferId hidden = block.finish(decoder.stack);
  const ops::BufferId logits = program.add("logits", static_cast<std::int32_t>(decoder.head.rows));
  program.ops.emplace_back(ops::Linear{hidden, logits, decoder.head, decoder.head_bias});
  program.ops.emplace_back(ops::EmitRows{logits});
  return program;
}

ops::Program write_decode(const CausalDecoder& decoder, bool trace) {
  ops::Program program;
  program.name = "decode";
  BlockWriter block = start(decoder, program);
  ops::BufferId scores = ops::kNoBuffer;
  if (!decoder.alignment.empty()) {
    scores = program.add("scores", decoder.max_text_len, ops::RowSpace::draws);
    program.ops.emplace_back(ops::ClearScores{scores});
  }
  for (std::int32_t l = 0; l < decoder.config.layers; ++l) {
    const LayerWeights& layer = decoder.stack.layers[static_cast<std::size_t>(l)];
    block.self_attention(layer, l, scored_heads(decoder, l, scores));
    block.feed_forward(layer, l);
    if (trace) block.tap("decoder.layers." + std::to_string(l));
  }
  const ops::BufferId hidden = block.finish(decoder.stack);
  const auto vocab = static_cast<std::int32_t>(decoder.head.rows);
  const ops::BufferId logits = program.add("logits", vocab);
  const ops::BufferId guided =
      trace ? program.add("guided", vocab, ops::RowSpace::draws) : ops::kNoBuffer;
  program.ops.emplace_back(ops::Linear{hidden, logits, decoder.head, decoder.head_bias});
  if (scores != ops::kNoBuffer) program.ops.emplace_back(ops::UpdatePrior{scores});
  program.ops.emplace_back(ops::SampleCodes{logits, guided, 1, vocab});
  program.ops.emplace_back(ops::FinishStep{1, 1});
  if (trace) {
    program.taps.push_back({"dec_hidden", hidden});
    program.taps.push_back({"logits", logits});
    program.taps.push_back({"logits_guided", guided});
  }
  return program;
}

std::vector<FamilyProgram> programs_of(const CausalDecoder& decoder, const Limits& limits,
                                       std::int32_t branches, bool trace) {
  std::vector<FamilyProgram> programs;
  programs.push_back(
      {"prefill", step::Pace::chunked, write_prefill(decoder), limits.max_num_tokens, 0});
  const std::int32_t draws = limits.max_batch_size + limits.max_draft_rows;
  programs.push_back({"decode", step::Pace::stepwise, write_decode(decoder, trace),
                      branches * limits.max_batch_size + limits.max_draft_rows, draws});
  return programs;
}

ops::StateSpec state_of(const StackConfig& config, const Limits& limits,
                        const StateOptions& options, const CacheNeeds& needs) {
  const std::int64_t most =
      limits.num_slots() * (needs.branches * ops::blocks_for(limits.max_seq_len) +
                            ops::blocks_for(needs.prefix_positions));
  const std::int64_t asked =
      options.cache_positions == 0 ? most : ops::blocks_for(options.cache_positions);
  ops::StateSpec spec;
  spec.slots = limits.num_slots();
  spec.cache_dtype = options.cache_dtype;
  spec.cache_layers = config.layers;
  spec.cache_heads = config.num_kv_heads();
  spec.cache_head_dim = config.head_dim();
  spec.num_blocks = static_cast<std::int32_t>(std::min(most, asked));
  spec.max_positions = limits.max_seq_len;
  spec.dim = config.dim;
  spec.codebooks = 1;
  spec.seen_vocab = needs.vocab;
  spec.max_text_len = needs.max_text_len;
  return spec;
}

step::Facts facts_of(const char* family, std::int32_t vocab, double frame_rate,
                     const Limits& limits) {
  step::Facts facts = facts_within(limits, family, frame_rate);
  facts.codebook_vocab = vocab;
  return facts;
}

void refuse_encoder_options(const Request& request) {
  TTSRT_CHECK(ConfigError, !is_given(request.encoder_output),
              "encoder_output: expected none, as this model has no text encoder; give text_ids");
  TTSRT_CHECK(ConfigError, request.later_chunks == 0,
              "later_chunks: expected 0, as this model speaks all of a text at once");
  TTSRT_CHECK(ConfigError, !request.text_history.has_value(),
              "text_history: expected none, as this model reads nothing of the chunks before");
  TTSRT_CHECK(ConfigError, request.text_silences.empty(),
              "text_silences: expected none, as this model makes no sound");
  TTSRT_CHECK(ConfigError, request.text_voices.empty(),
              "text_voices: expected none, as this model has one voice for all of a text");
  TTSRT_CHECK(ConfigError, !is_given(request.context_codes),
              "context_codes: expected none, as this model takes no codes as its context");
  TTSRT_CHECK(ConfigError, request.context_text_ids.empty(),
              "context_text_ids: expected none, as this model takes no text as its context");
  TTSRT_CHECK(ConfigError, !request.prior.has_value(),
              "prior: expected none, as this model has no cross-attention to weigh, got one");
  TTSRT_CHECK(ConfigError, !request.strict_end,
              "strict_end: expected false, as no checkpoint of this model forces the id that ends "
              "speech");
}

void refuse_alignment_options(const Request& request) {
  TTSRT_CHECK(ConfigError, !request.return_alignment,
              "return_alignment: expected false, as this model has no cross-attention, got true");
  TTSRT_CHECK(ConfigError, !request.return_positions,
              "return_positions: expected false, as this model has no cross-attention, got true");
  TTSRT_CHECK(ConfigError, !request.analyze_alignment.value_or(false),
              "analyze_alignment: expected false, as this model has no alignment heads, got true");
}

decode::RuleFacts read_code_defaults(const JsonReader& defaults) {
  decode::RuleFacts facts;
  facts.cfg_scale = static_cast<float>(defaults.number("cfg_scale", 0.0, 100.0));
  facts.temperature = static_cast<float>(defaults.number("temperature", 0.0, 100.0));
  facts.top_k = defaults.int32("top_k", 0, kMaxCount);
  if (defaults.has("top_p")) facts.top_p = static_cast<float>(defaults.number("top_p", 0.0, 1.0));
  facts.min_p = static_cast<float>(defaults.number("min_p", 0.0, 1.0));
  facts.repetition_penalty = static_cast<float>(defaults.number("repetition_penalty", 0.01, 100.0));
  facts.max_frames = defaults.int32("max_frames", 1, kMaxCount);
  facts.min_frames = defaults.int32("min_frames", 0, kMaxCount);
  facts.eos_method = "multinomial_any";
  return facts;
}

}  // namespace ttsrt::model
