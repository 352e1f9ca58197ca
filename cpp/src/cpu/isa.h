// Lists the instruction set levels that this machine can run, and selects one by name.
#pragma once

#include <string>
#include <vector>

#include "cpu/kernels/kernels.h"

namespace ttsrt::cpu {

// Returns the names of the compiled levels that the machine can run, lowest first: "generic",
// "avx2", ...
std::vector<std::string> supported_levels();

// Returns the kernels of a level; an empty name means the level in TTSRT_CPU_ISA, or else the
// highest, which on some processors multiplies some formats with the kernels of another
// (Kernels::a16). Throws ConfigError for an unknown or unsupported name.
const Kernels& choose_kernels(const std::string& level);

}  // namespace ttsrt::cpu
