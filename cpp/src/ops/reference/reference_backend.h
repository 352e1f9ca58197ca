// The plain form of every op: a Backend that interprets a Program op by op. Tests compare other
// backends with it.
//
// It uses simple loops, dot products and softmax in double, and one thread. A flight runs when it
// is collected (and allocates scratch memory), so that the data of a launch is read as late as a
// device might read it. Activations are filled with NaN before each launch, and caches and memories
// when they are created, so that reads of unwritten values show.
#pragma once

#include <cstdint>
#include <memory>

#include "ops/backend.h"

namespace ttsrt::ops {

// Options for tests of pipelining.
struct ReferenceOptions {
  std::int32_t pipeline_depth = 1;
  // Runs a flight at submit; its outcome then waits in the flight, as on a device that runs ahead.
  bool runs_at_submit = false;
};

std::unique_ptr<Backend> make_reference_backend(const ReferenceOptions& options = {});

}  // namespace ttsrt::ops
