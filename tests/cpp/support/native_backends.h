// The backends that run kernels of their own, by name: the instruction sets of this CPU, emulated
// tiles and, where there is a GPU, "cuda". Suites that take a name run the same tests on all of
// them.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "cpu/cpu_backend.h"
#include "cpu/isa.h"
#include "cuda/cuda_backend.h"
#include "support/emulated_level.h"

namespace ttsrt::test {

constexpr const char* kCuda = "cuda";

inline std::vector<std::string> native_backends() {
  std::vector<std::string> names = cpu::supported_levels();
  names.emplace_back(kEmulatedTiles);
  if (num_cuda_devices() > 0) names.emplace_back(kCuda);
  return names;
}

// Numbers of threads with which a backend is to give the same bits; a GPU has none to choose.
inline std::vector<std::int32_t> thread_counts(const std::string& name) {
  return name == kCuda ? std::vector<std::int32_t>{1} : std::vector<std::int32_t>{1, 2, 3};
}

// Whether TTSRT_REQUIRE names "cuda": tests that need a GPU then fail without one.
inline bool requires_cuda() {
  const char* required = std::getenv("TTSRT_REQUIRE");
  const std::string list = required == nullptr ? "" : "," + std::string(required) + ",";
  return list.find(",cuda,") != std::string::npos;
}

// `num_threads` is for the CPU; "" is its best instruction set.
inline std::unique_ptr<ops::Backend> open_native(const std::string& name,
                                                 std::int32_t num_threads) {
  if (name == kCuda) return make_cuda_backend(0);
  if (name == kEmulatedTiles)
    return make_cpu_backend({num_threads, "", false, nullptr, &emulated_tiles()});
  return make_cpu_backend({num_threads, name});
}

}  // namespace ttsrt::test
