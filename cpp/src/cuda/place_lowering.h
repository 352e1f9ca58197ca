// Finds whether the autoregressive picks of a Program may run in one launch (cuda/places.h), and
// prepares it.
#pragma once

#include <optional>
#include <vector>

#include "cuda/device_memory.h"
#include "cuda/places.h"
#include "ops/program.h"

namespace ttsrt::cuda {

// The launches of one place, each kind in the order of the ops.
struct PlaceParts {
  std::vector<NormArgs> norms;
  std::vector<LinearArgs> products;
  std::vector<LocalAttentionArgs> attentions;
  std::vector<LinearArgs> heads;  // [places]
  PickInputArgs input;
  const float* positions = nullptr;
  const float* head_biases = nullptr;
  PickDrawArgs draw;
  bool keeps_logits = false;
};

// Returns the arguments of pick_places() where the nested Program is layers of norm, attention,
// norm and feed-forward, the weights are bfloat16, and they fit the shared memory of this device.
std::optional<PlacesArgs> lower_places(const ops::PickCodes& op, const PlaceParts& parts,
                                       DeviceMemory& memory);

}  // namespace ttsrt::cuda
