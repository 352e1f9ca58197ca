// The plain form of every op: a Backend that interprets a Program op by op. Every test's oracle.
//
// Decided: obvious loops, dot products and softmax in double, one thread. launch() runs at once
// (and allocates scratch), so wait() has nothing to wait for, and a launch throws what it fails
// with. To show reads of what was never written, activations start each launch, and caches and
// memories start their life, as NaN.
#pragma once

#include <memory>

#include "ops/backend.h"

namespace ttsrt::ops {

std::unique_ptr<Backend> make_reference_backend();

}  // namespace ttsrt::ops
