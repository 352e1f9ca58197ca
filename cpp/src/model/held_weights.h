// A few weights in memory of their own, for what the host computes while requests and voices come:
// the others may be gone by then, where a device has its own copy of them.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "model/weights.h"

namespace ttsrt::model {

class HeldWeights {
 public:
  // Reads weights that the manifest declares, which have no scales, from the file. Throws
  // FormatError where there is none of a name, or if the file has changed since it was opened.
  HeldWeights(const Weights& weights, const std::vector<std::string>& names);
  HeldWeights(const HeldWeights&) = delete;
  HeldWeights& operator=(const HeldWeights&) = delete;

  // One of these names; throws InternalError for another.
  const ops::Weight& at(const std::string& name) const;

 private:
  struct Held {
    ops::Weight weight;
    std::vector<std::byte> bytes;
  };

  std::map<std::string, Held> held_;
};

}  // namespace ttsrt::model
