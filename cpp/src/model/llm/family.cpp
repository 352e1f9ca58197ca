#include "model/llm/family.h"

#include <algorithm>

#include "core/check.h"
#include "decode/compile_rules.h"
#include "model/causal_decoder.h"
#include "model/llm/itinerary.h"

namespace ttsrt::model::llm {
namespace {

constexpr std::int32_t kBranches = 1;
// Rows whose logits are made at once, so that a long text never needs those of all its ids.
constexpr std::int32_t kScoredRows = 64;

}  // namespace

LlmFamily::LlmFamily(const JsonReader& model, const JsonReader& defaults)
    : config_(read_config(model)), rules_(read_code_defaults(defaults)) {
  rules_.vocab = config_.vocab;
  rules_.eos_id = config_.eos_id;
  rules_.more_eos_ids = config_.more_eos_ids;
  rules_.decoder_layers = config_.decoder.layers;
  rules_.has_token_options = true;
  rules_.num_tokens = config_.num_tokens;
  TTSRT_CHECK(FormatError, rules_.cfg_scale == 1.0F, defaults.where(),
              ".cfg_scale: expected 1, as this family has no guidance, got ", rules_.cfg_scale);
}

Manifest LlmFamily::manifest() const {
  Manifest manifest;
  manifest.begin("decoder");
  manifest.add(Role::table, "embedding", {config_.vocab, config_.decoder.dim});
  declare_stack(manifest, "decoder", config_.decoder);
  manifest.add_head("head", {config_.vocab, config_.decoder.dim});
  if (config_.has_head_bias) manifest.add(Role::vector, "head_bias", {config_.vocab});
  return manifest;
}

LimitBounds LlmFamily::limit_bounds(const Manifest& /*stored*/) const {
  LimitBounds bounds;
  bounds.most_positions = config_.decoder.max_positions;
  bounds.most_input = config_.decoder.max_positions;
  bounds.input_takes_positions = true;
  bounds.usual_steps = rules_.max_frames;
  return bounds;
}

void LlmFamily::describe(EngineInfo& info) const {
  info.dim = config_.decoder.dim;
  info.codebooks = 1;
  info.codebook_vocab = config_.vocab;
  info.frame_stacking = 1;
  info.text_vocab = config_.vocab;
  info.frame_rate = 1.0;
  info.special_ids = {{"eos", config_.eos_id}};
  info.eos_id = config_.eos_id;
}

StoredVoices LlmFamily::read_voices(const Weights& /*weights*/) const { return {}; }

step::Facts LlmFamily::facts(const Limits& limits) const {
  step::Facts facts = facts_of("llm", config_.vocab, 1.0, limits);
  facts.is_speech = false;
  return facts;
}

std::optional<TextFacts> LlmFamily::text_facts() const {
  return TextFacts{config_.vocab, config_.num_tokens, config_.decoder.has_positions ? 0 : -1};
}

std::unique_ptr<model::Itineraries> LlmFamily::itineraries(const Limits& limits,
                                                           const Weights* /*weights*/) const {
  decode::compile_rules(Request{}, rules_, 0, 0);
  return std::make_unique<Itineraries>(config_, rules_, limits);
}

ops::StateSpec LlmFamily::state(const Limits& limits, const StateOptions& options) const {
  ops::StateSpec spec = state_of(config_.decoder, limits, options, {kBranches, 0, 0});
  spec.max_drawn = limits.max_seq_len;
  return spec;
}

std::vector<FamilyProgram> LlmFamily::programs(const Weights& weights, const Limits& limits,
                                               bool trace) const {
  CausalDecoder decoder{config_.decoder, load_stack(weights, "decoder", config_.decoder)};
  decoder.embed.code_tables = weights.at("embedding");
  decoder.embed.codebooks = 1;
  decoder.embed.vocab = config_.vocab;
  decoder.embed.id_tables = {weights.at("embedding")};
  if (config_.decoder.has_positions) decoder.embed.position_tables = {decoder.stack.positions};
  decoder.head = weights.at("head");
  if (config_.has_head_bias) decoder.head_bias = weights.at("head_bias");
  if (config_.decoder.rope.is_present())
    decoder.rope = make_rope_table(config_.decoder.rope, limits.max_seq_len);
  std::vector<FamilyProgram> programs = programs_of(decoder, limits, kBranches, trace);
  programs.push_back({"score", step::Pace::chunked, write_score(decoder),
                      std::min(kScoredRows, limits.max_num_tokens), 0, step::Emits::logits});
  return programs;
}

}  // namespace ttsrt::model::llm
