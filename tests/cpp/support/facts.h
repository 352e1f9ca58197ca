// Facts of a small model, and requests that fit it.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "executor/request_check.h"
#include "executor/voices.h"
#include "step/model_facts.h"
#include "ttsrt/request.h"

namespace ttsrt::test {

// Two codebooks of 16 codes, two stored voices of 3 and 5 rows, four decoder layers of which 1 and
// 3 see the text.
inline step::ModelFacts small_facts() {
  step::ModelFacts facts;
  facts.family = "magpie";
  facts.dim = 4;
  facts.codebooks = 2;
  facts.codebook_vocab = 16;
  facts.text_vocab = 10;
  facts.frame_rate = 20.0;
  facts.bos_id = 13;
  facts.eos_id = 14;
  facts.forbidden = {12, 13};
  facts.decoder_layers = 4;
  facts.text_layers = {1, 3};
  facts.takes_context_codes = true;
  facts.speakers = {{"ann", 0}, {"bob", 1}};
  for (const std::size_t rows : {3, 5})
    facts.voices.push_back(std::make_shared<const std::vector<float>>(rows * 4, 0.5F));
  facts.max_batch_size = 3;
  facts.max_seq_len = 64;
  facts.max_input_len = 8;
  facts.max_text_len = 12;
  facts.max_rows = 12;
  facts.temperature = 0.6F;
  facts.top_k = 5;
  facts.max_frames = 20;
  facts.eos_method = "argmax_or_multinomial_any";
  return facts;
}

inline Request small_request(std::uint64_t seed = 0) {
  Request request;
  request.text_ids = {1, 2, 3};
  request.voice.emplace(0);
  request.seed = seed;
  return request;
}

inline executor::PreparedRequest prepared(Request request, const step::ModelFacts& facts) {
  const executor::VoiceBook voices(facts);
  return executor::prepare(std::move(request), facts, voices);
}

}  // namespace ttsrt::test
