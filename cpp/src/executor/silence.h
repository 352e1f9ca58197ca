// Silence in the sound of a request: so many samples in front of a chunk, and behind the last.
//
// Decided: it stands between the samples of two frames and is no frame, so that codes, state and
// the codec's stream know nothing of it. It comes as soon as its place is reached, which gives a
// listener something to hear while the next chunk begins.
#pragma once

#include <cstdint>
#include <vector>

#include "executor/sequence.h"
#include "step/output.h"

namespace ttsrt::executor {

// Takes rows that became samples, with the silence that stands between them.
void take_samples(Sequence& sequence, const step::RowsOutput& rows, std::int32_t first,
                  std::int32_t count);

// Puts the silence of the round that begins behind the frames so far.
void begin_silence(Sequence& sequence);

// Puts silence behind the last frame, where speech came to its end.
void end_silence(Sequence& sequence);

}  // namespace ttsrt::executor
