// The plain form of every op: a Backend that interprets a Program op by op. Every test's oracle.
//
// Decided: obvious loops, dot products and softmax in double, one thread. A flight runs when it is
// collected (and allocates scratch), so that what a launch points to is read as late as a device
// might read it. To show reads of what was never written, activations start each launch, and
// caches and memories start their life, as NaN.
#pragma once

#include <cstdint>
#include <memory>

#include "ops/backend.h"

namespace ttsrt::ops {

// For tests of what a pipeline needs.
struct ReferenceOptions {
  std::int32_t pipeline_depth = 1;
  bool runs_at_submit =
      false;  // outcomes wait in their flights, as a device that runs ahead has it
};

std::unique_ptr<Backend> make_reference_backend(const ReferenceOptions& options = {});

}  // namespace ttsrt::ops
