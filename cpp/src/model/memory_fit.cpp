#include "model/memory_fit.h"

#include <algorithm>

#include "core/check.h"
#include "core/quote.h"

namespace ttsrt::model {
namespace {

constexpr const char* kRemedy =
    "lower max_batch_size, max_paused_requests, max_num_tokens or max_tokens_in_paged_kv_cache, "
    "choose a smaller kv_cache_dtype, or build the engine with a smaller max_seq_len or with a "
    "quantization";

// In MiB, rounded up.
std::string size_text(std::size_t bytes) {
  constexpr std::size_t kMiB = std::size_t{1} << 20;
  return message((bytes + kMiB - 1) / kMiB, " MiB");
}

}  // namespace

void check_cache_limits(std::int32_t positions, std::optional<double> fraction) {
  TTSRT_CHECK(ConfigError, positions >= 0,
              "max_tokens_in_paged_kv_cache: expected 0 (enough for all) or more, got ", positions);
  TTSRT_CHECK(ConfigError, !fraction.has_value() || (*fraction > 0.0 && *fraction <= 1.0),
              "kv_cache_free_gpu_mem_fraction: expected more than 0 and at most 1, got ",
              fraction.value_or(0.0));
}

std::int32_t fitting_blocks(const CacheRoom& room, double fraction) {
  const std::size_t left = room.free > room.others ? room.free - room.others : 0;
  const double share = static_cast<double>(left) * fraction;
  const double fitting = share / static_cast<double>(std::max<std::size_t>(room.block_bytes, 1));
  const std::int32_t blocks =
      fitting < static_cast<double>(room.wanted) ? static_cast<std::int32_t>(fitting) : room.wanted;
  const std::int32_t least = std::min(room.least, room.wanted);
  TTSRT_CHECK(CapacityError, blocks >= least, "kv_cache_free_gpu_mem_fraction: ", fraction, " of ",
              size_text(left), " is less than the ",
              size_text(static_cast<std::size_t>(least) * room.block_bytes),
              " of cache that one request may need; ", room.device, " has ", size_text(room.free),
              " free for this replica, and everything but the cache takes ", size_text(room.others),
              "; raise the fraction, ", kRemedy);
  return blocks;
}

void check_fits(const std::string& device, const ops::MemoryUse& use, std::size_t free) {
  const std::size_t others = use.cross_memory + use.slots;
  TTSRT_CHECK(CapacityError, use.total() <= free, "device ", device, ": the executor takes ",
              size_text(use.total()), " (weights ", size_text(use.weights), ", keys and values ",
              size_text(use.kv_cache), ", texts and slots ", size_text(others), ", activations ",
              size_text(use.activations), ", scratch ", size_text(use.scratch), "), but only ",
              size_text(free), " are free; ", kRemedy,
              ", or set kv_cache_free_gpu_mem_fraction to have the cache fitted to the device");
}

ops::StateSpec fitted_state(const Family& family, const Limits& limits, const StateOptions& options,
                            const CacheShare& share, const ops::Backend& backend,
                            const std::vector<ops::SizedProgram>& programs) {
  ops::StateSpec state = family.state(limits, options);
  if (!share.fraction.has_value()) return state;
  CacheRoom room;
  room.device = backend.info().device;
  const std::optional<std::size_t> free = backend.free_bytes();
  TTSRT_CHECK(ConfigError, free.has_value(),
              "kv_cache_free_gpu_mem_fraction: expected none on device ", in_quotes(room.device),
              ", which has no memory of its own, got ", *share.fraction);
  if (state.num_blocks == 0) return state;
  const ops::MemoryUse use = backend.memory_use(state, programs);
  const auto wanted = static_cast<std::size_t>(state.num_blocks);
  Limits one = limits;
  one.max_batch_size = 1;
  one.max_paused = 0;
  room.free = std::min(*free, share.free.value_or(*free));
  room.others = use.total() - use.kv_cache;
  room.block_bytes = (use.kv_cache + wanted - 1) / wanted;
  room.wanted = state.num_blocks;
  room.least = family.state(one, {options.cache_dtype, 0}).num_blocks;
  state.num_blocks = fitting_blocks(room, *share.fraction);
  return state;
}

}  // namespace ttsrt::model
