// Instruction sets by name, and which of them this machine has.
#pragma once

#include <string>
#include <vector>

#include "cpu/kernels/kernels.h"

namespace ttsrt::cpu {

// Names of the levels compiled into this build that the machine can run, least first: "generic",
// "avx2", ...
std::vector<std::string> supported_levels();

// Kernels of a level; empty: the one TTSRT_CPU_ISA names, else the best. An unknown or unsupported
// name is a ConfigError.
const Kernels& choose_kernels(const std::string& level);

}  // namespace ttsrt::cpu
