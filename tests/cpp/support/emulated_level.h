// A level of the CPU backend whose tiles are emulated, so that their kernels are tested on machines
// without AMX.
#pragma once

#include <string>

#include "cpu/isa.h"

namespace ttsrt::test {

constexpr const char* kEmulatedTiles = "emulated_tiles";

const cpu::Kernels& emulated_tiles();

// Of one of native_backends(), which is not a GPU.
inline const cpu::Kernels& kernels_of(const std::string& name) {
  return name == kEmulatedTiles ? emulated_tiles() : cpu::choose_kernels(name);
}

}  // namespace ttsrt::test
