// Families of models by name, and how each becomes a Network.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/native_network.h"

namespace ttsrt::model {

std::vector<std::string> known_families();

// Throws FormatError naming the known families.
std::unique_ptr<Network> make_network(const EngineData& engine,
                                      std::unique_ptr<ops::Backend> backend,
                                      const NetworkOptions& options);

}  // namespace ttsrt::model
