// Facts of a small model with two stored voices, requests that fit it, and its Programs.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "executor/request_check.h"
#include "executor/voices.h"
#include "model/magpie/itinerary.h"
#include "step/facts.h"
#include "ttsrt/request.h"

namespace ttsrt::test {

// Two codebooks of 16 codes, rows of 4 values, four decoder layers of which 1 and 3 see the text.
inline step::Facts small_facts() {
  step::Facts facts;
  facts.family = "magpie";
  facts.codebooks = 2;
  facts.codebook_vocab = 16;
  facts.frame_rate = 20.0;
  facts.max_batch_size = 3;
  facts.max_seq_len = 64;
  facts.max_input_len = 8;
  facts.max_text_len = 12;
  facts.max_rows = 12;
  return facts;
}

// The same model as its requests see it. What both say is taken from `facts`.
inline model::magpie::Facts small_model(const step::Facts& facts = small_facts()) {
  model::magpie::Facts model;
  model.dim = 4;
  model.codebook_vocab = facts.codebook_vocab;
  model.text_vocab = 10;
  model.bos_id = 13;
  model.takes_context_codes = true;
  model.programs = model::magpie::ProgramIds::of(true);
  model.max_seq_len = facts.max_seq_len;
  model.max_input_len = facts.max_input_len;
  model.max_text_len = facts.max_text_len;
  model.rules.codebooks = facts.codebooks;
  model.rules.frame_stacking = facts.frame_stacking;
  model.rules.eos_id = 14;
  model.rules.forbidden = {12, 13};
  model.rules.decoder_layers = 4;
  model.rules.text_layers = {1, 3};
  model.rules.temperature = 0.6F;
  model.rules.top_k = 5;
  model.rules.max_frames = 20;
  return model;
}

// Its Programs, in the order they run in: encode_text, project_memory, encode_context, prefill,
// decode.
inline std::vector<step::ProgramInfo> small_programs(std::int32_t encoder_parts = 1) {
  using step::Pace;
  return {{.name = "encode_text",
           .pace = Pace::whole,
           .num_parts = encoder_parts,
           .emits = step::Emits::encoded},
          {.name = "project_memory", .pace = Pace::whole},
          {.name = "encode_context", .pace = Pace::whole, .num_parts = encoder_parts},
          {.name = "prefill", .pace = Pace::chunked, .uses_cache = true},
          {.name = "decode", .pace = Pace::stepwise, .uses_cache = true}};
}
constexpr std::int32_t kEncodeText = 0;
constexpr std::int32_t kProjectMemory = 1;
constexpr std::int32_t kEncodeContext = 2;
constexpr std::int32_t kPrefill = 3;
constexpr std::int32_t kDecode = 4;

// "ann" of 3 rows and "bob" of 5.
inline model::StoredVoices small_voices(std::int32_t dim = 4) {
  model::StoredVoices voices;
  for (const std::int32_t rows : {3, 5}) {
    step::RowSource source;
    source.input = step::Input::vectors;
    source.rows = rows;
    source.vectors =
        std::make_shared<const std::vector<float>>(static_cast<std::size_t>(rows * dim), 0.5F);
    voices.voices.push_back(
        std::make_shared<const model::Voice>(model::Voice{{std::move(source)}}));
  }
  voices.names = {{"ann", 0}, {"bob", 1}};
  return voices;
}

inline Request small_request(std::uint64_t seed = 0) {
  Request request;
  request.text_ids = {1, 2, 3};
  request.voice.emplace(0);
  request.seed = seed;
  return request;
}

inline executor::PreparedRequest prepared(Request request, const model::magpie::Facts& model) {
  const model::magpie::Itineraries itineraries(model);
  const executor::VoiceBook voices(itineraries, small_voices(model.dim));
  return executor::prepare(std::move(request), itineraries, voices);
}

}  // namespace ttsrt::test
