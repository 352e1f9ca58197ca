#include "model/t3/family.h"

#include <algorithm>
#include <string>

#include "core/check.h"
#include "decode/compile_rules.h"
#include "decode/options_check.h"
#include "model/block_decoder.h"
#include "model/s3gen/programs.h"
#include "model/t3/itinerary.h"

namespace ttsrt::model::t3 {
namespace {

constexpr std::int32_t kBranches = 2;
constexpr std::int32_t kUsualText = 512;  // tokens
// Positions of shared prefixes beyond a voice's: the ends of their last blocks, and of the text
// that is shared beyond what a request needs.
constexpr std::int32_t kPrefixMargin = 112;
// What makes sound of tokens has room for 10 seconds of a reference, an odd frame included, and for
// what the original lets a text have.
constexpr std::int32_t kMostPrompt = 501;   // frames
constexpr std::int32_t kMostSpeech = 1000;  // tokens

}  // namespace

T3Family::T3Family(const JsonReader& model, const JsonReader& defaults)
    : config_(read_config(model)), defaults_{read_code_defaults(defaults)} {
  defaults_.rules.vocab = config_.speech_vocab;
  defaults_.rules.eos_id = config_.eos_id;
  defaults_.rules.decoder_layers = config_.decoder.layers;
  if (defaults.has("emotion"))
    defaults_.emotion = static_cast<float>(defaults.number("emotion", -100.0, 100.0));
  if (defaults.has("analyzer")) defaults_.analyzes = defaults.boolean("analyzer");
  TTSRT_CHECK(FormatError, !defaults_.analyzes || !config_.alignment.empty(), defaults.where(),
              ".analyzer: expected false, as the model has no analyzer, got true");
  if (config_.has_blocks()) read_blocks(defaults.object("block"));
  if (config_.sound)
    defaults_.sound = s3gen::read_defaults(defaults.object(kSoundModel), *config_.sound);
}

Family::Component T3Family::component() const { return {"s3gen", kSoundModel, s3gen::kPrefix}; }

// A penalty would need an order of codes, which a block has not.
void T3Family::read_blocks(const JsonReader& defaults) {
  defaults_.rules.repetition_penalty = 0.0F;
  rules::BlockRules& block = defaults_.rules.block;
  block.steps = defaults.int32("steps", 1, rules::kMaxBlockSteps);
  block.early = static_cast<float>(defaults.number("early", 0.0, decode::kMaxBlockOption));
  block.shift =
      static_cast<float>(defaults.number("shift", decode::kMinBlockShift, decode::kMaxBlockOption));
  block.noise = static_cast<float>(defaults.number("noise", 0.0, decode::kMaxBlockOption));
  block.mask_id = config_.mask_id();
}

Manifest T3Family::manifest() const {
  const std::int64_t dim = config_.decoder.dim;
  Manifest manifest;
  manifest.begin("decoder");
  manifest.add(Role::table, "text_embedding", {config_.text_vocab, dim});
  manifest.add(Role::table, "speech_embedding", {config_.speech_rows, dim});
  if (config_.restarts_positions()) {
    manifest.add(Role::vector, "text_positions", {config_.text_positions, dim});
    manifest.add(Role::vector, "speech_positions", {config_.speech_positions, dim});
  }
  declare_stack(manifest, "decoder", config_.decoder);
  manifest.add_head("head", {config_.speech_vocab, dim});
  manifest.keep_heads_wide();
  if (config_.has_head_bias) manifest.add(Role::vector, "head_bias", {config_.speech_vocab});
  if (config_.has_blocks()) manifest.add(Role::vector, "block_prior", {config_.speech_vocab});
  declare_conditioning(manifest);
  if (config_.sound) s3gen::declare(manifest, s3gen::kPrefix, *config_.sound);
  return manifest;
}

// All of it in float32, whatever the build's type: it makes voices, and no step reads it.
void T3Family::declare_conditioning(Manifest& manifest) const {
  const Conditioning& facts = config_.conditioning;
  const std::int64_t dim = config_.decoder.dim;
  manifest.begin("conditioning");
  manifest.add(Role::vector, "conditioning.speaker", {dim, facts.speaker_dim});
  manifest.add(Role::vector, "conditioning.speaker_bias", {dim});
  if (facts.has_emotion) manifest.add(Role::vector, "conditioning.emotion", {dim});
  if (!facts.has_perceiver()) return;
  manifest.add(Role::vector, "conditioning.query", {facts.queries, dim});
  manifest.add(Role::vector, "conditioning.norm", {dim});
  manifest.add(Role::vector, "conditioning.norm_bias", {dim});
  manifest.add(Role::vector, "conditioning.qkv", {3 * dim, dim});
  manifest.add(Role::vector, "conditioning.qkv_bias", {3 * dim});
  manifest.add(Role::vector, "conditioning.out", {dim, dim});
  manifest.add(Role::vector, "conditioning.out_bias", {dim});
}

LimitBounds T3Family::limit_bounds(const Manifest& /*stored*/) const {
  LimitBounds bounds;
  bounds.most_positions = config_.decoder.max_positions;
  bounds.most_input = config_.decoder.max_positions - 1;
  bounds.most_text = config_.restarts_positions() ? config_.text_positions : bounds.most_input;
  bounds.input_takes_positions = true;
  bounds.usual_steps =
      defaults_.rules.max_frames + config_.start_rows + std::min(kUsualText, bounds.most_text);
  return bounds;
}

void T3Family::describe(EngineInfo& info) const {
  info.dim = config_.decoder.dim;
  info.codebooks = 1;
  info.codebook_vocab = config_.speech_vocab;
  info.frame_stacking = std::max(config_.block_rows, 1);
  info.text_vocab = config_.text_vocab;
  info.frame_rate = config_.frame_rate;
  info.special_ids = {{"bos", config_.bos_id}, {"eos", config_.eos_id}};
  if (config_.has_blocks()) info.special_ids["mask"] = config_.mask_id();
  if (config_.text_start >= 0) info.special_ids["text_start"] = config_.text_start;
  if (config_.text_stop >= 0) info.special_ids["text_stop"] = config_.text_stop;
  info.eos_id = config_.eos_id;
  if (!config_.sound) return;
  info.mel_bins = config_.sound->mel_bins;
  info.sample_rate = config_.sound->sample_rate;
  info.samples_per_frame = s3gen::kHop * config_.sound->upsampling;
  info.has_vocoder = true;
}

StoredVoices T3Family::read_voices(const Weights& /*weights*/) const { return {}; }

step::Facts T3Family::facts(const Limits& limits) const {
  step::Facts facts = facts_of("t3", config_.speech_vocab, config_.frame_rate, limits);
  facts.frame_stacking = std::max(config_.block_rows, 1);
  if (!config_.sound) return facts;
  facts.sample_rate = config_.sound->sample_rate;
  facts.max_rows = std::max(facts.max_rows, s3gen::most_rows(sound_limits(limits)));
  return facts;
}

// The limits of what makes sound of the tokens of as many requests.
Limits T3Family::sound_limits(const Limits& limits) const {
  const s3gen::Config& sound = *config_.sound;
  Limits of = limits;
  of.max_input_len = kMostPrompt;
  const std::int32_t prompt = (kMostPrompt + sound.upsampling - 1) / sound.upsampling;
  const std::int32_t speech = std::min(limits.max_seq_len, kMostSpeech);
  of.max_encoder_input_len = prompt + speech + defaults_.sound.silence_tokens;
  of.max_seq_len = of.max_encoder_input_len * sound.upsampling;
  of.max_num_tokens = 0;  // as many as one request needs
  return of;
}

std::unique_ptr<model::Itineraries> T3Family::itineraries(const Limits& limits,
                                                          const Weights* weights) const {
  decode::compile_rules(Request{}, defaults_.rules, 0, 0);
  std::unique_ptr<const s3gen::Itineraries> sound;
  if (config_.sound)
    sound = std::make_unique<const s3gen::Itineraries>(
        *config_.sound, defaults_.sound, sound_limits(limits),
        config_.has_blocks() ? kBlocksProgram + 1 : kDecodeProgram + 1,
        config_.has_blocks() ? kBlockContextRows : 0);
  return std::make_unique<Itineraries>(config_, defaults_, limits, weights, std::move(sound));
}

ops::StateSpec T3Family::state(const Limits& limits, const StateOptions& options) const {
  ops::StateSpec spec =
      state_of(config_.decoder, limits, options,
               {kBranches, limits.max_input_len + kPrefixMargin, config_.speech_vocab,
                config_.alignment.empty() ? 0 : limits.max_encoder_input_len});
  if (config_.has_blocks()) {
    spec.codebooks = config_.block_rows;
    spec.seen_vocab = 0;
    spec.max_context_rows = kBlockContextRows;
  }
  if (config_.sound) s3gen::add_state(*config_.sound, sound_limits(limits), spec);
  return spec;
}

std::vector<FamilyProgram> T3Family::programs(const Weights& weights, const Limits& limits,
                                              bool trace) const {
  CausalDecoder decoder{config_.decoder, load_stack(weights, "decoder", config_.decoder)};
  decoder.embed.code_tables = weights.at("speech_embedding");
  decoder.embed.codebooks = 1;
  decoder.embed.vocab = config_.speech_rows;
  decoder.embed.id_tables = {weights.at("text_embedding")};
  if (config_.restarts_positions()) {
    decoder.embed.position_tables = {weights.at("text_positions"), weights.at("speech_positions")};
  } else if (config_.decoder.has_positions) {
    decoder.embed.position_tables = {decoder.stack.positions};
  }
  decoder.head = weights.at("head");
  if (config_.has_head_bias) decoder.head_bias = weights.at("head_bias");
  if (config_.decoder.rope.is_present())
    decoder.rope = make_rope_table(config_.decoder.rope, limits.max_seq_len);
  decoder.alignment = config_.alignment;
  decoder.max_text_len = limits.max_encoder_input_len;
  std::vector<FamilyProgram> programs;
  if (config_.has_blocks()) {
    const BlockDecoder blocks{decoder, weights.at("block_prior"), config_.block_rows};
    programs = programs_of(blocks, limits, kBranches, trace);
  } else {
    programs = programs_of(decoder, limits, kBranches, trace);
  }
  if (config_.sound)
    s3gen::append_programs({*config_.sound, weights, s3gen::kPrefix}, sound_limits(limits), trace,
                           programs);
  return programs;
}

}  // namespace ttsrt::model::t3
