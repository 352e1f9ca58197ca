// Statistics of an executor: counters since its start, its latest iterations, and the requests in
// flight. The names are those of TensorRT-LLM's executor in snake case. Its "tokens" are single
// codes here, as in the fork for T5TTS, and a frame has `codebooks` of them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "ttsrt/export.h"

namespace ttsrt {

/// What speculation did (options.h: Speculation). A round is a launch of a request that speculates,
/// with or without guesses.
struct SpeculationStats {
  std::uint64_t rounds = 0;
  std::uint64_t tokens = 0;    ///< ids that the rounds gave, the one that ends a text among them
  std::uint64_t drafted = 0;   ///< ids that were guessed and checked
  std::uint64_t accepted = 0;  ///< of these, the ones that the model picked
  /// The same two by the guess's place in its round, the first one first.
  std::array<std::uint64_t, 8> drafted_at = {};
  std::array<std::uint64_t, 8> accepted_at = {};
  double draft_seconds = 0.0;  ///< that guessing took
  /// Requests for which a draft engine gave numbers that are not finite; they went on without it.
  std::uint64_t faults = 0;

  /// 0 without rounds.
  double tokens_per_round() const {
    return rounds == 0 ? 0.0 : static_cast<double>(tokens) / static_cast<double>(rounds);
  }
};

/// The paged self-attention cache.
struct KvCacheStats {
  std::int32_t max_num_blocks = 0;
  std::int32_t free_num_blocks = 0;
  std::int32_t used_num_blocks = 0;  ///< by requests in flight, and by prefixes kept for later ones
  std::int32_t tokens_per_block = 0;     ///< positions of one block
  std::uint64_t alloc_total_blocks = 0;  ///< allocated since the start, new or shared
  std::uint64_t alloc_new_blocks = 0;    ///< of these, new blocks
  std::uint64_t reused_blocks = 0;       ///< of these, blocks shared with a prefix
};

/// The contents of an iteration's launch.
struct InflightBatchingStats {
  std::int32_t num_scheduled_requests = 0;
  std::int32_t num_context_requests = 0;  ///< of these, in encoders or prefill
  std::int32_t num_gen_requests = 0;      ///< of these, decoding
  std::int32_t num_paused_requests = 0;   ///< in flight, but not scheduled
  std::int32_t num_ctx_tokens = 0;        ///< rows of encoders and prefill
};

/// One iteration of the loop: plan, launch, commit.
struct IterationStats {
  double timestamp = 0.0;    ///< seconds since 1970, at its end
  std::uint64_t iter = 0;    ///< counts from 1, over all replicas
  std::int32_t replica = 0;  ///< index in ExecutorStats::replicas of the one that ran it
  double iter_latency_ms = 0.0;
  double device_latency_ms = 0.0;  ///< that its launches took on the device; 0 where none is told
  double new_active_requests_queue_latency_ms = 0.0;  ///< sum over requests taken from the queue
  std::int32_t num_new_active_requests = 0;
  std::int32_t num_active_requests = 0;  ///< of the replica
  std::int32_t num_queued_requests = 0;
  std::int32_t num_completed_requests = 0;  ///< ended in this iteration, for any reason
  std::int32_t num_frames = 0;              ///< codec frames produced
  /// Threads of the CPU that its launches ran on; 0 on other devices. Fewer than the device has
  /// where the system runs something else on their cores.
  std::int32_t num_threads = 0;
  KvCacheStats kv_cache_stats;  ///< of the replica
  InflightBatchingStats inflight_batching_stats;
};

/// The stage that a request is in.
enum class RequestStage : std::int32_t {
  queued,
  encoder_in_progress,
  context_in_progress,
  generation_in_progress,
};

/// Returns "queued", "encoder_in_progress", "context_in_progress" or "generation_in_progress".
TTSRT_API const char* name_of(RequestStage stage);

/// One request in flight or waiting, as of the last iteration.
struct RequestStats {
  std::uint64_t id = 0;
  RequestStage stage = RequestStage::queued;
  std::int32_t context_prefill_position = 0;  ///< context rows in the cache
  std::int32_t num_generated_tokens = 0;      ///< codes: frames times codebooks
  bool scheduled = false;                     ///< whether the last launch included it
  bool paused = false;                        ///< in flight, but not in the last launch
  std::int32_t replica = -1;  ///< index in ExecutorStats::replicas; -1: the request waits
};

/// The time of one stage, recorded with ExecutorOptions::profile. All threads of the device run a
/// stage together; equal stages of a program are added up.
struct StageTimes {
  std::string program;        ///< name of the Program: "encode_text", "decode"
  std::string stage;          ///< "linear 2304 x 768 bfloat16"
  std::uint64_t runs = 0;     ///< since the start
  double seconds = 0.0;       ///< mean over threads, including the wait for the last thread
  double busy_seconds = 0.0;  ///< of these, inside kernels
  std::int32_t replica = 0;   ///< index in ExecutorStats::replicas
};

/// One replica: a network on one device with a loop of its own.
struct ReplicaStats {
  std::string device;
  std::string description;                  ///< as ExecutorInfo::description
  std::int32_t num_active_requests = 0;     ///< in flight, paused ones included
  std::int32_t num_preempted_requests = 0;  ///< of these, paused for a larger priority
  std::int32_t max_num_active_requests = 0;
  std::int32_t num_threads = 0;  ///< as IterationStats::num_threads, of its latest iteration
  std::uint64_t num_iterations = 0;
  std::uint64_t num_frames = 0;
  KvCacheStats kv_cache_stats;
  std::string failure;  ///< why its device has failed; empty: it works
};

/// Counters since the start, and the requests in flight now; sums over all replicas, failed ones
/// included.
struct ExecutorStats {
  std::uint64_t num_submitted = 0;
  std::uint64_t num_completed = 0;
  std::uint64_t num_failed = 0;
  std::uint64_t num_cancelled = 0;  ///< by callers, by close() or by their deadline
  std::uint64_t num_refused = 0;    ///< submissions refused because the queue was full
  std::uint64_t num_iterations = 0;
  std::uint64_t num_frames = 0;
  double iteration_seconds = 0.0;        ///< sum over iterations
  std::int32_t num_active_requests = 0;  ///< in flight, paused ones included
  std::int32_t num_queued_requests = 0;
  std::int32_t num_preempted_requests = 0;  ///< of those in flight, paused for a larger priority
  std::uint64_t num_preemptions = 0;  ///< times that a request was paused for a larger priority
  std::int32_t max_num_active_requests = 0;
  KvCacheStats kv_cache_stats;
  SpeculationStats speculation;
  std::int32_t num_voices = 0;    ///< named voices, of the engine and added ones
  std::uint64_t voice_bytes = 0;  ///< of the added voices
  /// The latest iterations, oldest first; at most ExecutorOptions::iter_stats_max_iterations.
  std::vector<IterationStats> iterations;
  /// Requests in flight, replica by replica and oldest first, then waiting requests in order of
  /// arrival.
  std::vector<RequestStats> requests;
  /// Stages in the order of their first runs in a program; empty without ExecutorOptions::profile
  /// and on devices that do not record times.
  std::vector<StageTimes> stages;
  /// In the order of ExecutorOptions::device; one where it names one device.
  std::vector<ReplicaStats> replicas;
};

}  // namespace ttsrt
