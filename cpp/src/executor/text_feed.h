// Chunks of a text that come while its request runs: from a caller's thread to the loop.
//
// Decided: how many may come is said when the request is made, and an empty one stands for a chunk
// in which nothing is spoken. So whether a chunk is the last does not depend on when it came, and
// neither does any code.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "decode/round_rules.h"
#include "step/itinerary.h"

namespace ttsrt::executor {

class TextFeed {
 public:
  struct Chunk {
    std::vector<std::int32_t> ids;  // empty: nothing is spoken
    step::Round round;
  };

  explicit TextFeed(const step::Rounds& rounds)
      : later_(rounds.later),
        vocab_(rounds.vocab),
        limits_({rounds.max_history, rounds.max_rows}),
        reached_(static_cast<std::int32_t>(rounds.ids->size())),
        last_(rounds.all.back()) {}

  // The caller's side. Throws ConfigError for ids that the model doesn't have, too many of them, or
  // a chunk more than was said.
  void add(std::vector<std::int32_t> ids);
  // No text comes any more: the request ends with this error.
  void fail(const std::string& why);

  // The loop's side.
  std::optional<Chunk> take();
  std::optional<std::string> failure() const;

 private:
  mutable std::mutex mutex_;
  std::int32_t later_;
  const std::int32_t vocab_;
  const decode::WindowLimits limits_;
  std::int32_t reached_;
  step::Round last_;
  std::deque<Chunk> chunks_;
  std::optional<std::string> failure_;
};

}  // namespace ttsrt::executor
