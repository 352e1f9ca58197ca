#include "model/constant_weight.h"

#include <cstring>
#include <memory>
#include <utility>

#include "model/pack.h"

namespace ttsrt::model {

ops::Weight keep_constant(ops::Program& program, const std::string& name,
                          const std::vector<float>& values, ops::Weight weight) {
  weight.name = name;
  const std::vector<std::byte> bytes = pack(values, weight);
  auto kept = std::make_shared<std::vector<float>>(bytes.size() / sizeof(float));
  std::memcpy(kept->data(), bytes.data(), bytes.size());
  weight.data = reinterpret_cast<const std::byte*>(kept->data());
  program.constants.push_back(std::move(kept));
  return weight;
}

}  // namespace ttsrt::model
