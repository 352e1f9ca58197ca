// How requests end: with the result they came to, cancelled, late, or failed. Every accepted
// request ends here, once.
#pragma once

#include <memory>
#include <string>

#include "executor/sequence.h"

namespace ttsrt::executor {

// Gives a running request's caller its last event and its result. What it made so far is kept.
void end(Sequence& sequence, FinishReason reason, const std::string& error,
         const step::Facts& facts) noexcept;

// The same for a request that never got a slot: it made nothing.
void end(Pending&& pending, FinishReason reason, const std::string& error,
         const step::Facts& facts) noexcept;

}  // namespace ttsrt::executor
