// Whether one engine can draft for another, and within which limits it then runs.
#pragma once

#include "model/engine_data.h"
#include "model/limits.h"

namespace ttsrt::model {

// Throws ConfigError naming the draft engine for a model of another kind or of another vocabulary.
// What the ids mean is not compared: a draft with other words drafts in vain.
void check_draft_engine(const EngineData& target, const EngineData& draft);

// The limits of a network that drafts for one with the limits `target`: as many requests and
// positions, as far as the draft's model has positions, and a row for an id that it has not seen
// yet beside each step.
Limits draft_limits(const Limits& target, const EngineData& draft);

}  // namespace ttsrt::model
