#include "model/held_weights.h"

#include "core/check.h"

namespace ttsrt::model {

HeldWeights::HeldWeights(const Weights& weights, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    Held& held = held_[name];
    held.weight = weights.at(name);
    TTSRT_CHECK(InternalError, held.weight.quantization == ops::Quantization::none, name,
                ": expected a weight without scales");
    held.bytes = weights.file().read(weights.data(name));
    held.weight.data = held.bytes.data();
  }
}

const ops::Weight& HeldWeights::at(const std::string& name) const {
  const auto found = held_.find(name);
  TTSRT_CHECK(InternalError, found != held_.end(), name, ": is not held");
  return found->second.weight;
}

}  // namespace ttsrt::model
