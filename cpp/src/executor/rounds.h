// Rounds of a long text (step/itinerary.h): where the steps of one end, and how the next begins.
//
// Decided: a round begins on the host, between two launches, once no step of the round before is in
// flight and the window behind it is encoded. So launches need no number of their round, and a
// step that was launched too many is dropped as at the end of a request. Sound goes on meanwhile.
#pragma once

#include <cstdint>
#include <optional>

#include "executor/sequence.h"
#include "step/output.h"
#include "ttsrt/request.h"

namespace ttsrt::executor {

// Keeps what an encoder returned of a stop, `count` rows from `first` on.
void take_encoded(Sequence& sequence, std::int32_t stop, const step::RowsOutput& rows,
                  std::int32_t first, std::int32_t count);

// Called where the steps of a round are over, by `reason`. Returns why all steps are over; nothing
// where another round follows.
std::optional<FinishReason> end_round(Sequence& sequence, FinishReason reason,
                                      const step::Facts& facts);

// Takes the text of later rounds that has come. Where none is left, the steps are over.
void take_text(Sequence& sequence);

bool can_begin_round(const Sequence& sequence);
void begin_round(Sequence& sequence, const step::Facts& facts);

// Steps and windows of the rounds that have begun.
void tell_rounds(const Sequence& sequence, Result& result);

}  // namespace ttsrt::executor
