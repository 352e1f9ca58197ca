// The rows of one request in front of its speech, as stops.
#pragma once

#include <vector>

#include "decode/compile_rules.h"
#include "model/itineraries.h"
#include "model/limits.h"
#include "model/t3/config.h"
#include "step/itinerary.h"
#include "ttsrt/request.h"

namespace ttsrt::model::t3 {

// The text of a request, with its learned positions: ids, rows of text_features where an id is -1,
// or only such rows. Throws ConfigError.
std::vector<step::RowSource> text_of(Request& request, const Config& config, const Limits& limits);

// A voice, a text and the start rows.
class Prompt {
 public:
  Prompt(const Config& config, const Limits& limits, const Voice& voice,
         std::vector<step::RowSource>&& text);

  // Of the last start row, which is the first that decode runs; of blocks, of the row behind it.
  std::int32_t decode_begin() const {
    return text_end_ + config_.start_rows - (config_.has_blocks() ? 0 : 1);
  }
  // The rows of the text stand in the cache from here on.
  std::int32_t text_begin() const { return text_begin_; }
  std::int32_t text_rows() const { return text_end_ - text_begin_; }
  // The stops up to decode, which follows them all. The unconditional branch is shared with other
  // requests unless told otherwise.
  std::vector<step::Stop> stops(const decode::CompiledRules& rules,
                                bool shares_unconditional = true) const;

 private:
  step::Stop voice() const;
  step::Stop text() const;
  step::Stop unconditional(bool may_share) const;
  step::Stop unconditional_start(std::int32_t prefix) const;
  step::Stop zeros() const;
  step::Stop start(step::Branch branch) const;
  std::vector<step::Stop> stops_of_blocks(const decode::CompiledRules& rules) const;
  std::int32_t shared_text() const;
  step::Stop stop_at(std::int32_t position, step::Branch branch) const;
  void add(step::Stop& stop, step::RowSource source) const;

  const Config& config_;
  const Limits& limits_;
  std::vector<step::RowSource> shared_;   // of the voice: rows that its every request begins with
  std::vector<step::RowSource> emotion_;  // the row that a request may change, or none
  std::vector<step::RowSource> text_;
  std::int32_t text_begin_ = 0;
  std::int32_t text_end_ = 0;
};

// The stops of a prompt that is given as rows of embeddings, decode included. Throws ConfigError.
std::vector<step::Stop> stops_of_embeddings(Request& request, const Config& config,
                                            const Limits& limits,
                                            const decode::CompiledRules& rules);
// The row of `rows` start rows. Where positions restart, they have the first speech position.
step::RowSource start_rows(const Config& config, std::int32_t rows);

}  // namespace ttsrt::model::t3
