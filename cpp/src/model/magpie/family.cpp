#include "model/magpie/family.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "core/check.h"
#include "decode/compile_rules.h"
#include "model/magpie/decoder.h"
#include "model/magpie/encoder.h"
#include "model/magpie/itinerary.h"
#include "model/magpie/manifest.h"
#include "model/nanocodec/decoder.h"

namespace ttsrt::model::magpie {
namespace {

// As many as asked for, but no more than can ever be in use: two branches of every slot at full
// length, and one shared unconditional prefix per slot.
std::int32_t num_blocks(const Limits& limits, std::int32_t asked_positions) {
  const std::int64_t most = limits.num_slots() * (2 * ops::blocks_for(limits.max_seq_len) +
                                                  ops::blocks_for(limits.max_input_len));
  const std::int64_t asked = asked_positions == 0 ? most : ops::blocks_for(asked_positions);
  return static_cast<std::int32_t>(std::min(most, asked));
}

ContextRoute route_of(ContextKind kind) {
  if (kind == ContextKind::encoder) return ContextRoute::encoder;
  return kind == ContextKind::memory ? ContextRoute::memory : ContextRoute::rows;
}

decode::RuleFacts rule_facts(const Config& config, const Defaults& defaults) {
  decode::RuleFacts facts;
  facts.codebooks = config.codebooks;
  facts.frame_stacking = config.frame_stacking;
  facts.vocab = config.codebook_vocab;
  facts.eos_id = config.tokens.audio_eos;
  facts.forbidden = config.tokens.forbidden;
  facts.minimum_id = config.tokens.minimum_forbids.value_or(-1);
  facts.decoder_layers = config.decoder.layers;
  for (std::int32_t l = 0; l < config.decoder.layers; ++l) {
    if (config.cross.sees_text[static_cast<std::size_t>(l)]) facts.text_layers.push_back(l);
  }
  facts.has_local_transformer = config.local.kind != LocalKind::none;
  facts.is_maskgit = config.local.kind == LocalKind::maskgit;
  facts.cfg_scale = defaults.cfg_scale;
  facts.temperature = defaults.temperature;
  facts.top_k = defaults.top_k;
  facts.max_frames = defaults.max_frames;
  facts.min_frames = defaults.min_frames;
  facts.eos_method = defaults.eos_method;
  facts.use_local_transformer = defaults.use_local_transformer;
  facts.prior_mode = defaults.prior_mode;
  facts.prior = defaults.prior;
  return facts;
}

step::RowSource voice_rows(const float* values, std::int32_t rows, std::size_t dim) {
  step::RowSource source;
  source.input = step::Input::vectors;
  source.rows = rows;
  source.vectors = std::make_shared<const std::vector<float>>(
      values, values + static_cast<std::size_t>(rows) * dim);
  return source;
}

}  // namespace

Family::Component MagpieFamily::component() const {
  return {"nanocodec", "codec_model", nanocodec::kPrefix};
}

double MagpieFamily::frame_rate() const {
  return config_.codec ? config_.codec->frame_rate() : config_.frame_rate;
}

Manifest MagpieFamily::manifest() const { return declare_tensors(config_); }

LimitBounds MagpieFamily::limit_bounds(const Manifest& stored) const {
  LimitBounds bounds;
  bounds.most_positions = config_.decoder.max_positions;
  bounds.most_input = config_.decoder.max_positions - 1;
  if (config_.context_encoder.is_present())
    bounds.most_input = std::min(bounds.most_input, config_.context_encoder.max_positions);
  bounds.most_text = config_.text_encoder.max_positions;
  if (const TensorSpec* voices = stored.find("voices"))
    bounds.least_input = static_cast<std::int32_t>(voices->shape.at(1));
  bounds.input_takes_positions = config_.context != ContextKind::memory;
  bounds.usual_steps = defaults_.max_frames / config_.frame_stacking + 1;
  return bounds;
}

void MagpieFamily::describe(EngineInfo& info) const {
  info.dim = config_.dim;
  info.codebooks = config_.codebooks;
  info.codebook_vocab = config_.codebook_vocab;
  info.frame_stacking = config_.frame_stacking;
  info.text_vocab = config_.text_vocab;
  info.frame_rate = frame_rate();
  if (config_.codec) {
    info.sample_rate = config_.codec->sample_rate;
    info.samples_per_frame = config_.codec->samples_per_frame;
    info.has_vocoder = true;
  }
  info.default_prior = defaults_.prior;
  const Tokens& tokens = config_.tokens;
  info.special_ids = {{"audio_bos", tokens.audio_bos},
                      {"audio_eos", tokens.audio_eos},
                      {"context_bos", tokens.context_bos},
                      {"context_eos", tokens.context_eos},
                      {"mask", tokens.mask},
                      {"text_bos", tokens.text_bos},
                      {"text_eos", tokens.text_eos}};
  info.forbidden_ids = tokens.forbidden;
  info.eos_id = tokens.audio_eos;
}

StoredVoices MagpieFamily::read_voices(const Weights& weights) const {
  StoredVoices voices;
  voices.names = config_.speakers;
  if (config_.num_voices == 0) return voices;
  const std::string& where = weights.file().path();
  const StoredTensor& rows = weights.data("voices");
  const StoredTensor& lengths = weights.data("voice_lengths");
  const auto most = static_cast<std::size_t>(rows.shape.at(1));
  const auto dim = static_cast<std::size_t>(config_.dim);
  const std::vector<std::byte> row_bytes = weights.file().read(rows);
  const std::vector<std::byte> length_bytes = weights.file().read(lengths);
  const auto* values = reinterpret_cast<const float*>(row_bytes.data());
  const auto* counts = reinterpret_cast<const std::int32_t*>(length_bytes.data());
  for (std::size_t voice = 0; voice < static_cast<std::size_t>(config_.num_voices); ++voice) {
    TTSRT_CHECK(FormatError, counts[voice] >= 1 && counts[voice] <= rows.shape[1], where,
                ": voice_lengths[", voice, "]: expected 1 to ", most, ", got ", counts[voice]);
    voices.voices.push_back(std::make_shared<const Voice>(
        Voice{{voice_rows(values + voice * most * dim, counts[voice], dim)}}));
  }
  return voices;
}

step::Facts MagpieFamily::facts(const Limits& limits) const {
  step::Facts facts = facts_within(limits, "magpie", frame_rate());
  if (config_.codec) facts.sample_rate = config_.codec->sample_rate;
  facts.codebooks = config_.codebooks;
  facts.codebook_vocab = config_.codebook_vocab;
  facts.frame_stacking = config_.frame_stacking;
  return facts;
}

std::unique_ptr<model::Itineraries> MagpieFamily::itineraries(const Limits& limits,
                                                              const Weights* /*weights*/) const {
  const bool has_own_table = config_.context_text == ContextText::own;
  Facts facts;
  facts.dim = config_.dim;
  facts.codebook_vocab = config_.codebook_vocab;
  facts.text_vocab = config_.text_vocab;
  if (config_.context_text != ContextText::none)
    facts.context_text_vocab = has_own_table ? config_.context_text_vocab : config_.text_vocab;
  facts.context_text_table = has_own_table ? 1 : 0;
  facts.bos_id = config_.tokens.audio_bos;
  facts.context_route = route_of(config_.context);
  facts.takes_context_codes = config_.context != ContextKind::voices;
  facts.pads_context = config_.context_text != ContextText::none;
  facts.shares_unconditional = config_.decoder.kernel == 1;
  facts.programs = ProgramIds::of(config_.context_encoder.is_present(), config_.codec.has_value());
  facts.rules = rule_facts(config_, defaults_);
  facts.max_seq_len = limits.max_seq_len;
  facts.max_input_len = limits.max_input_len;
  facts.max_text_len = limits.max_encoder_input_len;
  decode::compile_rules(Request{}, facts.rules, 1, 0);
  return std::make_unique<Itineraries>(std::move(facts));
}

ops::StateSpec MagpieFamily::state(const Limits& limits, const StateOptions& options) const {
  ops::StateSpec spec;
  spec.slots = limits.num_slots();
  spec.cache_dtype = options.cache_dtype;
  spec.cache_layers = config_.decoder.layers;
  spec.cache_heads = config_.decoder.heads;
  spec.cache_head_dim = config_.decoder.head_dim();
  spec.num_blocks = num_blocks(limits, options.cache_positions);
  spec.max_positions = limits.max_seq_len;
  spec.memory_layers = config_.decoder.layers;
  spec.memory_heads = config_.cross.heads;
  spec.memory_head_dim = config_.cross.head_dim;
  spec.max_text_len = limits.max_encoder_input_len;
  spec.max_context_memory = config_.context == ContextKind::memory ? limits.max_input_len : 0;
  spec.max_context_rows = config_.context == ContextKind::encoder ? limits.max_input_len : 0;
  spec.dim = config_.dim;
  if (config_.decoder.kernel > 1) {
    for (std::int32_t l = 0; l < config_.decoder.layers; ++l) {
      spec.convs.push_back({config_.decoder.kernel, config_.decoder.dim});
      spec.convs.push_back({config_.decoder.kernel, config_.decoder.ffn_dim});
    }
  }
  spec.codebooks = config_.stack_codes();
  if (config_.codec) spec.past = nanocodec::decoder_past(*config_.codec);
  return spec;
}

std::vector<FamilyProgram> MagpieFamily::programs(const Weights& weights, const Limits& limits,
                                                  bool trace) const {
  using step::Pace;
  const Source source{config_, weights};
  const std::int32_t rows = limits.max_num_tokens;
  std::vector<FamilyProgram> programs;
  programs.push_back({"encode_text", Pace::whole, write_text_encoder(source, trace), rows, 0,
                      step::Emits::encoded});
  programs.push_back({"project_memory", Pace::whole, write_memory_projection(source), rows, 0});
  if (config_.context_encoder.is_present()) {
    programs.push_back(
        {"encode_context", Pace::whole, write_context_encoder(source, trace), rows, 0});
  }
  programs.push_back({"prefill", Pace::chunked, write_prefill(source, trace), rows, 0});
  programs.push_back({"decode", Pace::stepwise,
                      write_decode(source, limits.max_encoder_input_len, trace),
                      2 * limits.max_batch_size, limits.max_batch_size});
  if (config_.codec) {
    const nanocodec::CodeLayout codes{config_.quantizer.value_or(config_.codec->quantizer),
                                      config_.codebook_vocab};
    programs.push_back(
        nanocodec::write_decoder(weights, nanocodec::kPrefix, *config_.codec, codes,
                                 nanocodec::launch_frames(limits, config_.frame_stacking), trace));
  }
  return programs;
}

}  // namespace ttsrt::model::magpie
