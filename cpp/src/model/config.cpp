#include "model/config.h"

#include "core/check.h"

namespace ttsrt::model {
namespace {

constexpr std::int64_t kMaxDim = 16384;
constexpr std::int64_t kMaxVocab = 1 << 20;
constexpr std::int64_t kMaxPositions = 1 << 20;

template <typename Kind>
Kind named(const JsonReader& reader, const char* key,
           std::initializer_list<std::pair<const char*, Kind>> known) {
  const std::string name = reader.string(key);
  std::string names;
  for (const auto& [candidate, kind] : known) {
    if (name == candidate) return kind;
    names += names.empty() ? candidate : std::string(", ") + candidate;
  }
  throw FormatError(
      message(reader.where(), ".", key, ": expected one of ", names, ", got \"", name, "\""));
}

StackConfig read_stack(const JsonReader& reader, bool is_local) {
  StackConfig stack;
  stack.layers = reader.int32("layers", 1, kMaxDecoderLayers);
  stack.dim = reader.int32("dim", 2, kMaxDim);
  stack.ffn_dim = reader.int32("ffn_dim", 2, 4 * kMaxDim);
  stack.heads = reader.int32("heads", 1, 256);
  stack.max_positions = reader.int32("max_positions", 1, kMaxPositions);
  if (!is_local) {
    stack.kernel = reader.int32("kernel", 1, 31);
    stack.is_causal = reader.boolean("causal");
    stack.has_norm_out = reader.boolean("norm_out");
    TTSRT_CHECK(FormatError, stack.is_causal || stack.kernel % 2 == 1, reader.where(),
                ".kernel: expected an odd kernel in a stack that isn't causal, got ", stack.kernel);
  } else {
    stack.has_norm_out = false;
  }
  TTSRT_CHECK(FormatError, stack.dim % stack.heads == 0, reader.where(),
              ".heads: expected a divisor of dim ", stack.dim, ", got ", stack.heads);
  return stack;
}

std::vector<bool> read_layers(const JsonReader& reader, const char* key, std::int32_t layers) {
  std::vector<bool> chosen(static_cast<std::size_t>(layers), false);
  for (const std::int32_t layer : reader.integers(key, 0, layers - 1, kMaxDecoderLayers)) {
    chosen[static_cast<std::size_t>(layer)] = true;
  }
  return chosen;
}

CrossConfig read_cross(const JsonReader& reader, std::int32_t layers) {
  CrossConfig cross;
  cross.heads = reader.int32("cross_heads", 1, 256);
  cross.head_dim = reader.int32("cross_head_dim", 1, kMaxDim);
  cross.has_memory_norm = reader.boolean("memory_norm");
  cross.sees_text = read_layers(reader, "text_layers", layers);
  cross.sees_context = read_layers(reader, "context_layers", layers);
  for (std::int32_t l = 0; l < layers; ++l) {
    const auto at = static_cast<std::size_t>(l);
    TTSRT_CHECK(FormatError, !(cross.sees_text[at] && cross.sees_context[at]), reader.where(),
                ": layer ", l, " stands in text_layers and in context_layers");
  }
  return cross;
}

LocalConfig read_local(const JsonReader& reader) {
  LocalConfig local;
  local.kind = named<LocalKind>(
      reader, "kind",
      {{"autoregressive", LocalKind::autoregressive}, {"maskgit", LocalKind::maskgit}});
  local.stack = read_stack(reader, true);
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
  return tokens;
}

void read_speakers(const JsonReader& reader, ModelConfig& config) {
  config.num_voices = reader.int32("num_voices", 0, 1 << 16);
  const JsonReader speakers = reader.object("speakers");
  for (const auto& [name, index] : reader.value("speakers").items()) {
    config.speakers[name] = speakers.int32(name.c_str(), 0, config.num_voices - 1);
  }
}

void check_consistency(const ModelConfig& config, const std::string& where) {
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

}  // namespace

ModelConfig read_model_config(const JsonReader& reader) {
  ModelConfig config;
  config.dim = reader.int32("dim", 2, kMaxDim);
  config.codebooks = reader.int32("codebooks", 1, 64);
  config.codebook_vocab = reader.int32("codebook_vocab", 2, kMaxVocab);
  config.frame_stacking = reader.int32("frame_stacking", 1, 16);
  config.text_vocab = reader.int32("text_vocab", 1, kMaxVocab);
  config.context_text_vocab = reader.int32("context_text_vocab", 0, kMaxVocab);
  config.frame_rate = reader.number("frame_rate", 0.01, 1e5);
  config.tokens = read_tokens(reader.object("tokens"), config.codebook_vocab, config.text_vocab);
  config.context = named<ContextKind>(reader, "context",
                                      {{"codes", ContextKind::codes},
                                       {"encoder", ContextKind::encoder},
                                       {"voices", ContextKind::voices},
                                       {"memory", ContextKind::memory}});
  config.context_text = named<ContextText>(
      reader, "context_text",
      {{"none", ContextText::none}, {"shared", ContextText::shared}, {"own", ContextText::own}});
  config.text_encoder = read_stack(reader.object("text_encoder"), false);
  if (reader.has("context_encoder"))
    config.context_encoder = read_stack(reader.object("context_encoder"), false);
  config.decoder = read_stack(reader.object("decoder"), false);
  config.cross = read_cross(reader.object("decoder"), config.decoder.layers);
  if (reader.has("local_transformer"))
    config.local = read_local(reader.object("local_transformer"));
  read_speakers(reader, config);
  TTSRT_CHECK(FormatError, config.stack_codes() <= 256, reader.where(),
              ": expected codebooks * frame_stacking of at most 256, got ", config.stack_codes());
  check_consistency(config, reader.where());
  return config;
}

}  // namespace ttsrt::model
