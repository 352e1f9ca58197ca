// What a request asks of the draws of a language model beyond rules::SlotRules: lists that have any
// length, which only backends in the memory of the host read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rules/token_scores.h"

namespace ttsrt::step {

struct TokenRules {
  float repetition_penalty = 1.0F;
  float presence_penalty = 0.0F;
  float frequency_penalty = 0.0F;
  std::vector<std::int32_t> seen;        // ids of the prompt that the repetition penalty counts
  std::vector<rules::TokenBias> biases;  // no id twice
  std::int32_t num_logprobs = -1;        // likeliest ids that are told; -1: not even the drawn one
  std::string names;                     // of the request's options that need these rules

  // The rules of a step behind `num_drawn` drawn ids, and behind so many drafts after these.
  rules::TokenScores scores(const std::int32_t* drawn, std::int32_t num_drawn,
                            const std::int32_t* ahead, std::int32_t num_ahead) const {
    return {.repetition_penalty = repetition_penalty,
            .presence_penalty = presence_penalty,
            .frequency_penalty = frequency_penalty,
            .seen = seen.data(),
            .num_seen = static_cast<std::int32_t>(seen.size()),
            .drawn = drawn,
            .num_drawn = num_drawn,
            .ahead = ahead,
            .num_ahead = num_ahead,
            .biases = biases.data(),
            .num_biases = static_cast<std::int32_t>(biases.size())};
  }
};

}  // namespace ttsrt::step
