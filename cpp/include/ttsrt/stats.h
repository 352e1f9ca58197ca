// What an executor counts: since its start, of its latest iterations, of the requests in flight.
// The names are those of TensorRT-LLM's executor, in snake case; its "tokens" are single codes
// here, as the fork for T5TTS counted them, and a frame has `codebooks` of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ttsrt {

/// The paged self-attention cache.
struct KvCacheStats {
  std::int32_t max_num_blocks = 0;
  std::int32_t free_num_blocks = 0;
  std::int32_t used_num_blocks = 0;  ///< of requests in flight, and of prefixes kept for later ones
  std::int32_t tokens_per_block = 0;     ///< positions
  std::uint64_t alloc_total_blocks = 0;  ///< taken since the start, fresh or shared
  std::uint64_t alloc_new_blocks = 0;    ///< of them fresh
  std::uint64_t reused_blocks = 0;       ///< of them shared with a prefix
};

/// What the iteration's launch carried.
struct InflightBatchingStats {
  std::int32_t num_scheduled_requests = 0;
  std::int32_t num_context_requests = 0;  ///< of them in encoders or prefill
  std::int32_t num_gen_requests = 0;      ///< of them decoding
  std::int32_t num_paused_requests = 0;   ///< in flight, but not scheduled
  std::int32_t num_ctx_tokens = 0;        ///< rows of encoders and prefill
};

/// One iteration of the loop: plan, launch, commit.
struct IterationStats {
  double timestamp = 0.0;  ///< seconds since 1970, at its end
  std::uint64_t iter = 0;  ///< from 1 on
  double iter_latency_ms = 0.0;
  double new_active_requests_queue_latency_ms = 0.0;  ///< sum over those taken from the queue
  std::int32_t num_new_active_requests = 0;
  std::int32_t num_active_requests = 0;
  std::int32_t num_queued_requests = 0;
  std::int32_t num_completed_requests = 0;  ///< that ended with this iteration, however
  std::int32_t num_frames = 0;              ///< codec frames made
  KvCacheStats kv_cache_stats;
  InflightBatchingStats inflight_batching_stats;
};

/// Where a request stands.
enum class RequestStage : std::int32_t {
  queued,
  encoder_in_progress,
  context_in_progress,
  generation_in_progress,
};

/// "queued", "encoder_in_progress", "context_in_progress", "generation_in_progress".
const char* name_of(RequestStage stage);

/// One request in flight or waiting, as of the last iteration.
struct RequestStats {
  std::uint64_t id = 0;
  RequestStage stage = RequestStage::queued;
  std::int32_t context_prefill_position = 0;  ///< context rows in the cache
  std::int32_t num_generated_tokens = 0;      ///< codes, frames times codebooks
  bool scheduled = false;                     ///< whether the last launch carried it
  bool paused = false;                        ///< in flight, and it did not
};

/// Where the time of launches went, under ExecutorOptions::profile: one stage, that all threads of
/// the device run together, or all stages of a program that do the same.
struct StageTimes {
  std::string program;        ///< "encode_text", "decode"; one per class of rows
  std::string stage;          ///< "linear 2304 x 768 bfloat16"
  std::uint64_t runs = 0;     ///< since the start
  double seconds = 0.0;       ///< with the wait for the last thread, the mean over threads
  double busy_seconds = 0.0;  ///< of them inside kernels
};

/// Counters since the start, and what is in flight now.
struct ExecutorStats {
  std::uint64_t num_submitted = 0;
  std::uint64_t num_completed = 0;
  std::uint64_t num_failed = 0;
  std::uint64_t num_cancelled = 0;  ///< by callers, by close() or by their deadline
  std::uint64_t num_refused = 0;    ///< submissions that found the queue full
  std::uint64_t num_iterations = 0;
  std::uint64_t num_frames = 0;
  double iteration_seconds = 0.0;  ///< sum over iterations
  std::int32_t num_active_requests = 0;
  std::int32_t num_queued_requests = 0;
  std::int32_t max_num_active_requests = 0;
  KvCacheStats kv_cache_stats;
  std::int32_t num_voices = 0;    ///< by name: the engine's and those added
  std::uint64_t voice_bytes = 0;  ///< of those added
  /// The latest, oldest first: ExecutorOptions::iter_stats_max_iterations of them at most.
  std::vector<IterationStats> iterations;
  /// In flight, oldest first, then waiting, in order of arrival.
  std::vector<RequestStats> requests;
  /// In the order of their first runs in a program; empty without ExecutorOptions::profile and on
  /// devices that keep no such times.
  std::vector<StageTimes> stages;
};

}  // namespace ttsrt
