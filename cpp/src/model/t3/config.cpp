#include "model/t3/config.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/check.h"
#include "rules/slot_rules.h"

namespace ttsrt::model::t3 {
namespace {

constexpr std::int64_t kMaxSpeakerDim = 4096;
constexpr std::int64_t kMaxQueries = 1024;

Conditioning read_conditioning(const JsonReader& reader, std::int32_t dim) {
  Conditioning conditioning;
  conditioning.speaker_dim = reader.int32("speaker_dim", 1, kMaxSpeakerDim);
  conditioning.queries = reader.int32("queries", 0, kMaxQueries);
  conditioning.heads = reader.int32("heads", 0, 256);
  conditioning.norm_epsilon = static_cast<float>(reader.number("norm_epsilon", 0.0, 1.0));
  conditioning.has_emotion = reader.boolean("emotion");
  conditioning.max_prompt = reader.int32("max_prompt", 0, kMaxPositions);
  const std::int32_t heads = conditioning.heads;
  TTSRT_CHECK(FormatError,
              conditioning.has_perceiver() ? heads > 0 && dim % heads == 0 : heads == 0,
              reader.where(), ".heads: expected ",
              conditioning.has_perceiver() ? message("a divisor of ", dim) : "0 without queries",
              ", got ", heads);
  return conditioning;
}

void read_positions(const JsonReader& model, Config& config) {
  config.text_positions = model.int32("text_positions", 0, kMaxPositions);
  config.speech_positions = model.int32("speech_positions", 0, kMaxPositions);
  TTSRT_CHECK(FormatError, (config.text_positions > 0) == (config.speech_positions > 0),
              model.where(), ".speech_positions: expected some exactly where text_positions are, ",
              "got ", config.speech_positions);
  TTSRT_CHECK(FormatError, !config.restarts_positions() || !config.decoder.has_positions,
              model.where(),
              ".decoder.learned_positions: expected false beside text_positions, got true");
  TTSRT_CHECK(FormatError,
              !config.conditioning.has_perceiver() ||
                  config.conditioning.max_prompt <= config.speech_positions,
              model.where(), ".conditioning.max_prompt: expected at most speech_positions ",
              config.speech_positions, ", got ", config.conditioning.max_prompt);
}

constexpr std::size_t kMostHeads = 64;  // in all
constexpr std::int32_t kLastHead = 63;  // of a layer (ops::SelfAttention::score_heads)

std::vector<AlignmentHead> read_alignment(const JsonReader& analyzer, const StackConfig& decoder) {
  const Json& heads = analyzer.value("heads");
  const std::string where = analyzer.where() + ".heads";
  TTSRT_CHECK(FormatError, heads.is_array() && !heads.empty() && heads.size() <= kMostHeads, where,
              ": expected 1 to ", kMostHeads, " pairs of a layer and a head, got ",
              heads.is_array() ? message(heads.size()) : "no list");
  const std::int32_t last_head = std::min(decoder.heads - 1, kLastHead);
  std::vector<AlignmentHead> found;
  for (std::size_t i = 0; i < heads.size(); ++i) {
    const Json& pair = heads[i];
    const bool is_pair = pair.is_array() && pair.size() == 2 && pair[0].is_number_integer() &&
                         pair[1].is_number_integer();
    TTSRT_CHECK(FormatError, is_pair, where, "[", i, "]: expected a layer and a head");
    const auto layer = pair[0].get<std::int64_t>();
    const auto head = pair[1].get<std::int64_t>();
    TTSRT_CHECK(FormatError, layer >= 0 && layer < decoder.layers && head >= 0 && head <= last_head,
                where, "[", i, "]: expected a layer in [0, ", decoder.layers - 1,
                "] and a head in [0, ", last_head, "], got ", layer, " and ", head);
    const AlignmentHead read{static_cast<std::int32_t>(layer), static_cast<std::int32_t>(head)};
    const bool is_new = std::none_of(found.begin(), found.end(), [&read](const auto& other) {
      return other.layer == read.layer && other.head == read.head;
    });
    TTSRT_CHECK(FormatError, is_new, where, "[", i, "]: expected each head once, got layer ", layer,
                " and head ", head, " again");
    found.push_back(read);
  }
  return found;
}

void read_blocks(const JsonReader& model, Config& config) {
  if (model.has("block_size"))
    config.block_rows = model.int32("block_size", 1, rules::kMaxBlockRows);
  TTSRT_CHECK(FormatError, config.has_blocks() == (config.speech_rows == config.speech_vocab + 1),
              model.where(), ".block_size: expected ",
              config.has_blocks() ? message("speech_rows ", config.speech_vocab + 1,
                                            " with it, one for a token that is not decided")
                                  : message("a number of tokens, as speech_rows is one more than "
                                            "speech_vocab"),
              ", got ", config.has_blocks() ? config.speech_rows : 0);
  if (!config.has_blocks()) return;
  TTSRT_CHECK(FormatError, config.alignment.empty(), model.where(),
              ".analyzer: expected none beside block_size, as it follows one code after another");
  TTSRT_CHECK(FormatError,
              config.restarts_positions() && config.start_rows == 1 &&
                  config.block_rows <= config.speech_positions,
              model.where(), ".block_size: expected one start row, and speech_positions for each ",
              "token of a block, got ", config.start_rows, " and ", config.speech_positions);
}

void read_sound(const JsonReader& model, Config& config) {
  if (!model.has(kSoundModel)) return;
  config.sound = s3gen::read_config(model.object(kSoundModel));
  const s3gen::Config& sound = *config.sound;
  const std::string whose = model.where() + "." + kSoundModel;
  TTSRT_CHECK(FormatError, sound.vocab <= std::min(config.bos_id, config.eos_id), whose,
              ".flow.vocab: expected at most ", std::min(config.bos_id, config.eos_id),
              " tokens, in front of the ids that begin and end speech, got ", sound.vocab);
  const double rate = sound.frame_rate() / sound.upsampling;
  TTSRT_CHECK(FormatError, std::fabs(rate - config.frame_rate) < 1e-6, whose, ": expected ",
              config.frame_rate, " tokens of a second, got ", rate);
  TTSRT_CHECK(FormatError, sound.vocoder.has_value(), whose, ".vocoder: expected one, got none");
}

}  // namespace

Config read_config(const JsonReader& model) {
  Config config;
  config.variant = model.string("variant");
  config.speech_vocab = model.int32("speech_vocab", 2, kMaxVocab);
  config.speech_rows = model.int32("speech_rows", config.speech_vocab, kMaxVocab);
  config.text_vocab = model.int32("text_vocab", 1, kMaxVocab);
  config.frame_rate = model.number("frame_rate", 1e-3, 1e6);
  config.bos_id = model.int32("bos", 0, config.speech_vocab - 1);
  config.eos_id = model.int32("eos", 0, config.speech_vocab - 1);
  if (model.has("text_start"))
    config.text_start = model.int32("text_start", 0, config.text_vocab - 1);
  if (model.has("text_stop")) config.text_stop = model.int32("text_stop", 0, config.text_vocab - 1);
  config.start_rows = model.int32("start_rows", 1, 2);
  config.has_head_bias = model.boolean("head_bias");
  config.processors = read_kind<ProcessorOrder>(
      model, "processors", {{"t3", ProcessorOrder::t3}, {"turbo", ProcessorOrder::turbo}});
  config.decoder = read_causal_stack(model.object("decoder"));
  config.conditioning = read_conditioning(model.object("conditioning"), config.decoder.dim);
  if (model.has("analyzer"))
    config.alignment = read_alignment(model.object("analyzer"), config.decoder);
  read_positions(model, config);
  read_blocks(model, config);
  read_sound(model, config);
  return config;
}

}  // namespace ttsrt::model::t3
