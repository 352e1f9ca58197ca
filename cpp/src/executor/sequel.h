// What follows the codes of a request (step::Sequel): stops that its family writes while it runs.
//
// Decided: a part begins on the host, between two launches, once all stops of the part before have
// run and enough codes are there. Steps go on meanwhile.
#pragma once

#include "executor/sequence.h"

namespace ttsrt::executor {

// Puts the stops of the next part in the place of those of the part before, if it can begin.
// Returns whether nothing follows any more, which it says once.
bool begin_part(Sequence& sequence);

}  // namespace ttsrt::executor
