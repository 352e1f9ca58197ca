// Whether what a Backend is given fits its state. Every backend asks these functions and no others.
//
// All throw InternalError: what comes here was written by a network or a loop, never by a user.
#pragma once

#include "ops/backend.h"
#include "step/batch.h"

namespace ttsrt::ops {

void check_admission(const step::Admission& admission, const StateSpec& spec);
void check_copy(const step::BlockCopy& copy, const StateSpec& spec);

}  // namespace ttsrt::ops
