#include "model/registry.h"

#include "core/check.h"

namespace ttsrt::model {
namespace {

using Maker = std::unique_ptr<Network> (*)(const EngineData&, std::unique_ptr<ops::Backend>,
                                           const NetworkOptions&);

struct Family {
  const char* name;
  Maker make;
};

std::unique_ptr<Network> make_native(const EngineData& engine,
                                     std::unique_ptr<ops::Backend> backend,
                                     const NetworkOptions& options) {
  return std::make_unique<NativeNetwork>(engine, std::move(backend), options);
}

constexpr Family kFamilies[] = {{"magpie", make_native}};

}  // namespace

std::vector<std::string> known_families() {
  std::vector<std::string> names;
  for (const Family& family : kFamilies) names.emplace_back(family.name);
  return names;
}

std::unique_ptr<Network> make_network(const EngineData& engine,
                                      std::unique_ptr<ops::Backend> backend,
                                      const NetworkOptions& options) {
  std::string known;
  for (const Family& family : kFamilies) {
    if (engine.info.family == family.name) return family.make(engine, std::move(backend), options);
    known += known.empty() ? family.name : std::string(", ") + family.name;
  }
  throw FormatError(message(engine.path, ": family: expected one of ", known, ", got \"",
                            engine.info.family, "\""));
}

}  // namespace ttsrt::model
