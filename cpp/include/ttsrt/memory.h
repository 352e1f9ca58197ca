// Plans the memory of an executor without opening one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ttsrt/engine.h"
#include "ttsrt/export.h"

namespace ttsrt {

/// Limits to plan for. They may go beyond those the engine was built for: the plan is then that of
/// an engine built for them.
struct MemoryOptions {
  std::string device = "auto";           ///< as ExecutorOptions::device
  std::int32_t num_threads = 0;          ///< as ExecutorOptions::num_threads
  std::int32_t max_batch_size = 0;       ///< requests in flight; 0: the engine's
  std::int32_t max_seq_len = 0;          ///< decoder positions; 0: the engine's
  std::string kv_cache_dtype;            ///< as ExecutorOptions::kv_cache_dtype
  std::string preempt = "none";          ///< as ExecutorOptions::preempt
  std::int32_t max_paused_requests = 0;  ///< as ExecutorOptions::max_paused_requests
  std::int32_t max_num_tokens = 0;       ///< rows of one Program in one launch; 0: the engine's
  std::int32_t max_tokens_in_paged_kv_cache = 0;  ///< as in ExecutorOptions
  /// As in ExecutorOptions: on a GPU, of the memory that is free there while it is planned.
  std::optional<double> kv_cache_free_gpu_mem_fraction = std::nullopt;
  Speculation speculation = {};   ///< as ExecutorOptions::speculation: it takes rows of launches
  std::string draft_engine = {};  ///< as ExecutorOptions::draft_engine, whose bytes are added
};

/// Bytes of one replica.
struct ReplicaMemory {
  std::string device;
  std::uint64_t kv_cache = 0;
  std::uint64_t cross_memory = 0;
  std::uint64_t slots = 0;
  std::uint64_t activations = 0;
  std::uint64_t scratch = 0;
  std::uint64_t weights = 0;       ///< of its own copy on a GPU; 0: it reads those of the host
  std::uint64_t free = 0;          ///< of the GPU's memory, while this was planned; 0 for the CPU
  std::uint64_t cache_tokens = 0;  ///< positions of its paged cache
};

/// Bytes for one choice of limits; sums over the replicas, while the limits are of each.
struct MemoryPlan {
  std::int32_t max_batch_size = 0;
  std::int32_t max_seq_len = 0;
  std::string kv_cache_dtype;
  std::int32_t max_paused_requests = 0;  ///< 0 without preemption
  std::int32_t max_num_tokens = 0;
  std::uint64_t cache_tokens = 0;  ///< positions of the paged cache
  std::uint64_t weights = 0;       ///< the copies that GPUs keep, and the engine's file once if a
                                   ///< replica reads it on the host
  std::uint64_t kv_cache = 0;  ///< self-attention: two branches and a shared prefix per request,
                               ///< paused ones included
  std::uint64_t cross_memory = 0;  ///< cross-attention: keys and values of texts and contexts
  std::uint64_t slots = 0;         ///< everything else that a request keeps
  std::uint64_t activations = 0;
  std::uint64_t scratch = 0;            ///< packed inputs and what threads need beside activations
  bool is_served = false;               ///< whether this engine, as it was built, can be opened so
  std::vector<ReplicaMemory> replicas;  ///< in the order of MemoryOptions::device
};

/// What an executor with these limits takes, to the byte, as its ExecutorInfo reports it. Throws
/// ConfigError for limits that no engine of this checkpoint could be built for and for an unknown
/// device, and CapacityError for a fraction that leaves too little for one request.
TTSRT_API MemoryPlan plan_memory(const Engine& engine, const MemoryOptions& options = {});

}  // namespace ttsrt
