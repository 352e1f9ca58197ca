// Faults as texts that tests can compare, and backends by name.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ops/reference/reference_backend.h"
#include "step/output.h"
#include "support/native_backends.h"

namespace ttsrt::test {

using Told = std::vector<std::string>;

// Row, stage and layer of a fault.
inline std::string tell(std::int32_t row, step::FaultStage stage, std::int32_t layer = -1) {
  return "row " + std::to_string(row) + " stage " + std::to_string(static_cast<int>(stage)) +
         " layer " + std::to_string(layer);
}

inline Told told(const step::StepOutput& output) {
  Told all;
  for (const step::Fault& fault : output.faults)
    all.push_back(tell(fault.row, fault.stage, fault.layer));
  return all;
}

// The reference, or the CPU with an instruction set and two threads.
inline std::unique_ptr<ops::Backend> open_backend(const std::string& name,
                                                  const ops::StateSpec& spec) {
  auto backend = name == "reference" ? ops::make_reference_backend() : open_native(name, 2);
  backend->create_state(spec);
  return backend;
}

}  // namespace ttsrt::test
