#include "model/magpie/config.h"

#include <algorithm>

#include "core/check.h"
#include "core/voice_name.h"

namespace ttsrt::model::magpie {
namespace {

LocalConfig read_local(const JsonReader& reader) {
  LocalConfig local;
  local.kind = read_kind<LocalKind>(
      reader, "kind",
      {{"autoregressive", LocalKind::autoregressive}, {"maskgit", LocalKind::maskgit}});
  local.stack = read_stack_sizes(reader);
  local.stack.has_norm_out = false;
  local.stack.is_causal = local.kind == LocalKind::autoregressive;
  local.has_in_projection = reader.boolean("in_projection");
  return local;
}

Tokens read_tokens(const JsonReader& reader, std::int32_t vocab, std::int32_t text_vocab) {
  Tokens tokens;
  tokens.audio_bos = reader.int32("audio_bos", 0, vocab - 1);
  tokens.audio_eos = reader.int32("audio_eos", 0, vocab - 1);
  tokens.context_bos = reader.int32("context_bos", 0, vocab - 1);
  tokens.context_eos = reader.int32("context_eos", 0, vocab - 1);
  tokens.mask = reader.int32("mask", 0, vocab - 1);
  tokens.text_bos = reader.int32("text_bos", 0, text_vocab - 1);
  tokens.text_eos = reader.int32("text_eos", 0, text_vocab - 1);
  tokens.forbidden = reader.integers("forbidden", 0, vocab - 1, 16);
  if (reader.has("minimum_forbids"))
    tokens.minimum_forbids = reader.int32("minimum_forbids", 0, vocab - 1);
  return tokens;
}

void read_speakers(const JsonReader& reader, Config& config) {
  config.num_voices = reader.int32("num_voices", 0, 1 << 16);
  const JsonReader speakers = reader.object("speakers");
  for (const auto& [name, index] : reader.value("speakers").items()) {
    TTSRT_CHECK(FormatError, is_voice_name(name), speakers.where(), ": expected names of ",
                kVoiceNameRule, ", got ", shown_name(name), "; convert the checkpoint again");
    config.speakers[name] = speakers.int32(name.c_str(), 0, config.num_voices - 1);
  }
}

void check_consistency(const Config& config, const std::string& where) {
  TTSRT_CHECK(FormatError,
              config.text_encoder.dim == config.dim && config.decoder.dim == config.dim, where,
              ": expected encoder and decoder as wide as dim ", config.dim);
  TTSRT_CHECK(FormatError, config.decoder.is_causal, where, ".decoder.causal: expected true");
  const bool needs_encoder =
      config.context == ContextKind::encoder || config.context == ContextKind::memory;
  TTSRT_CHECK(FormatError, !needs_encoder || config.context_encoder.is_present(), where,
              ".context_encoder: missing for this kind of context");
  TTSRT_CHECK(
      FormatError, !config.context_encoder.is_present() || config.context_encoder.dim == config.dim,
      where, ".context_encoder.dim: expected ", config.dim, ", got ", config.context_encoder.dim);
  TTSRT_CHECK(FormatError, config.context != ContextKind::voices || config.num_voices > 0, where,
              ".num_voices: expected at least 1 where the context is stored voices");
  TTSRT_CHECK(FormatError, config.context_text != ContextText::own || config.context_text_vocab > 0,
              where, ".context_text_vocab: expected at least 1 where context_text is \"own\"");
  for (const bool sees_context : config.cross.sees_context) {
    TTSRT_CHECK(FormatError, !sees_context || config.context == ContextKind::memory, where,
                ".decoder.context_layers: expected none where the context isn't a memory");
  }
  if (config.local.kind != LocalKind::none) {
    const std::int32_t positions =
        config.stack_codes() + (config.local.kind == LocalKind::maskgit ? 1 : 0);
    TTSRT_CHECK(FormatError, config.local.stack.max_positions >= positions, where,
                ".local_transformer.max_positions: expected at least ", positions, ", got ",
                config.local.stack.max_positions);
    TTSRT_CHECK(FormatError, config.local.has_in_projection || config.local.stack.dim == config.dim,
                where, ".local_transformer.dim: expected ", config.dim,
                " without an in-projection, got ", config.local.stack.dim);
  }
}

// Levels of all dimensions of a frame.
std::vector<std::int32_t> levels_of(const nanocodec::Quantizer& quantizer) {
  std::vector<std::int32_t> levels;
  for (std::int32_t group = 0; group < quantizer.groups; ++group)
    levels.insert(levels.end(), quantizer.levels.begin(), quantizer.levels.end());
  return levels;
}

void check_quantizer(const Config& config, const nanocodec::Quantizer& quantizer,
                     const std::string& whose) {
  TTSRT_CHECK(FormatError, quantizer.groups == config.codebooks, whose, ": expected as many groups",
              " as the model has codebooks, ", config.codebooks, ", got ", quantizer.groups);
  const std::int32_t room = std::min(config.codebook_vocab, config.tokens.audio_bos);
  TTSRT_CHECK(FormatError, quantizer.codes() <= room, whose, ": expected at most the ", room,
              " codes that the model has in front of its special ids, got ", quantizer.codes());
}

void read_codec(const JsonReader& reader, Config& config) {
  if (reader.has("quantizer")) {
    config.quantizer = nanocodec::read_quantizer(reader.object("quantizer"));
    check_quantizer(config, *config.quantizer, reader.where() + ".quantizer");
  }
  if (!reader.has("codec_model")) return;
  config.codec = nanocodec::read_config(reader.object("codec_model"));
  config.codec->encoder.reset();
  const std::string whose = reader.where() + ".codec_model";
  if (!config.quantizer) {
    check_quantizer(config, config.codec->quantizer, whose);
    return;
  }
  TTSRT_CHECK(FormatError, levels_of(*config.quantizer) == levels_of(config.codec->quantizer),
              whose, ": expected the levels of the model's own quantizer, dimension by dimension: ",
              config.quantizer->latent(), " of them, got ", config.codec->quantizer.latent(),
              config.quantizer->latent() == config.codec->quantizer.latent() ? ", others" : "");
}

}  // namespace

Config read_config(const JsonReader& reader) {
  Config config;
  config.dim = reader.int32("dim", 2, kMaxDim);
  config.codebooks = reader.int32("codebooks", 1, 64);
  config.codebook_vocab = reader.int32("codebook_vocab", 2, kMaxVocab);
  config.frame_stacking = reader.int32("frame_stacking", 1, 16);
  config.text_vocab = reader.int32("text_vocab", 1, kMaxVocab);
  config.context_text_vocab = reader.int32("context_text_vocab", 0, kMaxVocab);
  config.frame_rate = reader.number("frame_rate", 0.01, 1e5);
  config.tokens = read_tokens(reader.object("tokens"), config.codebook_vocab, config.text_vocab);
  config.context = read_kind<ContextKind>(reader, "context",
                                          {{"codes", ContextKind::codes},
                                           {"encoder", ContextKind::encoder},
                                           {"voices", ContextKind::voices},
                                           {"memory", ContextKind::memory}});
  config.context_text = read_kind<ContextText>(
      reader, "context_text",
      {{"none", ContextText::none}, {"shared", ContextText::shared}, {"own", ContextText::own}});
  config.text_encoder = read_stack(reader.object("text_encoder"));
  if (reader.has("context_encoder"))
    config.context_encoder = read_stack(reader.object("context_encoder"));
  config.decoder = read_stack(reader.object("decoder"));
  config.cross = read_cross(reader.object("decoder"), config.decoder.layers);
  if (reader.has("local_transformer"))
    config.local = read_local(reader.object("local_transformer"));
  read_speakers(reader, config);
  TTSRT_CHECK(FormatError, config.stack_codes() <= 256, reader.where(),
              ": expected codebooks * frame_stacking of at most 256, got ", config.stack_codes());
  check_consistency(config, reader.where());
  read_codec(reader, config);
  return config;
}

}  // namespace ttsrt::model::magpie
