// Fits an executor into the memory of its device before anything is allocated: how large its paged
// cache may be, and whether all of it fits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/family.h"
#include "ops/backend.h"

namespace ttsrt::model {

// The room for the paged cache on a device.
struct CacheRoom {
  std::string device;
  std::size_t free = 0;         // bytes of the device before anything is allocated
  std::size_t others = 0;       // of these, what everything but the paged cache takes
  std::size_t block_bytes = 0;  // of one block of the paged cache, all layers
  std::int32_t wanted = 0;      // blocks without a limit
  std::int32_t least = 0;       // blocks that one request may need
};

// Throws ConfigError for values that ExecutorOptions can't have: max_tokens_in_paged_kv_cache and
// kv_cache_free_gpu_mem_fraction.
void check_cache_limits(std::int32_t positions, std::optional<double> fraction);

// As many of the wanted blocks as fit into `fraction` of what the others leave free. Throws
// CapacityError, which names the numbers and the options, for fewer than the least.
std::int32_t fitting_blocks(const CacheRoom& room, double fraction);

// Throws CapacityError, which names the numbers and the options, if this doesn't fit into `free`
// bytes.
void check_fits(const std::string& device, const ops::MemoryUse& use, std::size_t free);

// The share of a device's free memory that the paged cache of one replica may take.
struct CacheShare {
  std::optional<double> fraction =
      std::nullopt;  // kv_cache_free_gpu_mem_fraction; absent: no limit
  std::optional<std::size_t> free = std::nullopt;  // bytes of it, where others get the rest
};

// The state of an executor with these limits on a backend that would run these Programs, its paged
// cache reduced to its share. Throws as fitting_blocks, and ConfigError for a fraction on a backend
// whose device has no memory of its own.
ops::StateSpec fitted_state(const Family& family, const Limits& limits, const StateOptions& options,
                            const CacheShare& share, const ops::Backend& backend,
                            const std::vector<ops::SizedProgram>& programs);

}  // namespace ttsrt::model
