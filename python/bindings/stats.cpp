// Bindings of ttsrt/stats.h.
#include "ttsrt/stats.h"

#include "values.h"

namespace ttsrt::python {

namespace {

void register_parts(py::module_& module) {
  py::class_<KvCacheStats> cache(module, "KvCacheStats", "The paged self-attention cache.");
  def_plain(cache);
  cache.def_readonly("max_num_blocks", &KvCacheStats::max_num_blocks, "Blocks that the cache has.")
      .def_readonly("free_num_blocks", &KvCacheStats::free_num_blocks, "Blocks that nobody uses.")
      .def_readonly("used_num_blocks", &KvCacheStats::used_num_blocks,
                    "By requests in flight, and by prefixes kept for later ones.")
      .def_readonly("tokens_per_block", &KvCacheStats::tokens_per_block, "Positions of one block.")
      .def_readonly("alloc_total_blocks", &KvCacheStats::alloc_total_blocks,
                    "Allocated since the start, new or shared.")
      .def_readonly("alloc_new_blocks", &KvCacheStats::alloc_new_blocks, "Of these, new blocks.")
      .def_readonly("reused_blocks", &KvCacheStats::reused_blocks,
                    "Of these, blocks shared with a prefix.");
  py::class_<SpeculationStats> speculation(module, "SpeculationStats", "What speculation did.");
  def_plain(speculation);
  speculation
      .def_readonly("rounds", &SpeculationStats::rounds,
                    "Launches of requests that speculate, with or without guesses.")
      .def_readonly("tokens", &SpeculationStats::tokens, "Ids that the rounds gave.")
      .def_readonly("drafted", &SpeculationStats::drafted, "Ids that were guessed and checked.")
      .def_readonly("accepted", &SpeculationStats::accepted, "Of these, ids that the model picked.")
      .def_readonly("drafted_at", &SpeculationStats::drafted_at,
                    "Guessed ids by their place in the round.")
      .def_readonly("accepted_at", &SpeculationStats::accepted_at,
                    "Of these, ids that the model picked.")
      .def_readonly("draft_seconds", &SpeculationStats::draft_seconds, "That guessing took.")
      .def_readonly("faults", &SpeculationStats::faults,
                    "Requests for which a draft engine gave numbers that are not finite.")
      .def_property_readonly("tokens_per_round", &SpeculationStats::tokens_per_round,
                             "Tokens / rounds; 0 without rounds.");
  py::class_<InflightBatchingStats> batching(module, "InflightBatchingStats",
                                             "The contents of the iteration's launch.");
  def_plain(batching);
  batching
      .def_readonly("num_scheduled_requests", &InflightBatchingStats::num_scheduled_requests,
                    "Requests with rows in the launch.")
      .def_readonly("num_context_requests", &InflightBatchingStats::num_context_requests,
                    "Of these, in encoders or prefill.")
      .def_readonly("num_gen_requests", &InflightBatchingStats::num_gen_requests,
                    "Of these, decoding.")
      .def_readonly("num_paused_requests", &InflightBatchingStats::num_paused_requests,
                    "In flight, but not scheduled.")
      .def_readonly("num_ctx_tokens", &InflightBatchingStats::num_ctx_tokens,
                    "Rows of encoders and prefill.");
}

void register_iterations(py::module_& module) {
  py::class_<IterationStats> iteration(module, "IterationStats",
                                       "One iteration of the loop: plan, launch, commit.");
  def_plain(iteration);
  iteration.def_readonly("timestamp", &IterationStats::timestamp, "Seconds since 1970, at its end.")
      .def_readonly("iter", &IterationStats::iter, "Counts from 1, over all replicas.")
      .def_readonly("replica", &IterationStats::replica,
                    "Index in ExecutorStats.replicas of the one that ran it.")
      .def_readonly("iter_latency_ms", &IterationStats::iter_latency_ms,
                    "Milliseconds of the iteration.")
      .def_readonly("device_latency_ms", &IterationStats::device_latency_ms,
                    "Milliseconds that its launches took on the device; 0 where none is told.")
      .def_readonly("new_active_requests_queue_latency_ms",
                    &IterationStats::new_active_requests_queue_latency_ms,
                    "Sum over requests taken from the queue.")
      .def_readonly("num_new_active_requests", &IterationStats::num_new_active_requests,
                    "Requests taken from the queue.")
      .def_readonly("num_active_requests", &IterationStats::num_active_requests,
                    "Requests in flight on the replica.")
      .def_readonly("num_queued_requests", &IterationStats::num_queued_requests,
                    "Requests that wait.")
      .def_readonly("num_completed_requests", &IterationStats::num_completed_requests,
                    "Ended in this iteration, for any reason.")
      .def_readonly("num_frames", &IterationStats::num_frames, "Codec frames produced.")
      .def_readonly("num_threads", &IterationStats::num_threads,
                    "Threads of the CPU that its launches ran on; 0 on other devices. Fewer than "
                    "the device has where the system runs something else on their cores.")
      .def_readonly("kv_cache_stats", &IterationStats::kv_cache_stats,
                    "The replica's cache at its end.")
      .def_readonly("inflight_batching_stats", &IterationStats::inflight_batching_stats,
                    "The contents of its launch.");
  py::class_<RequestStats> request(module, "RequestStats",
                                   "One request in flight or waiting, as of the last iteration.");
  def_plain(request);
  request.def_readonly("id", &RequestStats::id, "The request's number, as Handle.id.")
      .def_property_readonly(
          "stage", [](const RequestStats& self) { return name_of(self.stage); },
          "\"queued\", \"encoder_in_progress\", \"context_in_progress\" or "
          "\"generation_in_progress\".")
      .def_readonly("context_prefill_position", &RequestStats::context_prefill_position,
                    "Context rows in the cache.")
      .def_readonly("num_generated_tokens", &RequestStats::num_generated_tokens,
                    "Codes: frames times codebooks.")
      .def_readonly("scheduled", &RequestStats::scheduled, "Whether the last launch included it.")
      .def_readonly("paused", &RequestStats::paused, "In flight, but not in the last launch.")
      .def_readonly("replica", &RequestStats::replica,
                    "Index in ExecutorStats.replicas; -1: the request waits.");
}

void register_replicas(py::module_& module) {
  py::class_<ReplicaStats> replica(module, "ReplicaStats",
                                   "One replica: a network on one device with a loop of its own.");
  def_plain(replica);
  replica.def_readonly("device", &ReplicaStats::device, "Its device.")
      .def_readonly("description", &ReplicaStats::description, "As ExecutorInfo.description.")
      .def_readonly("num_active_requests", &ReplicaStats::num_active_requests,
                    "Requests in flight, paused ones included.")
      .def_readonly("num_preempted_requests", &ReplicaStats::num_preempted_requests,
                    "Of these, paused for a larger priority.")
      .def_readonly("max_num_active_requests", &ReplicaStats::max_num_active_requests,
                    "Most requests in flight at once.")
      .def_readonly("num_iterations", &ReplicaStats::num_iterations, "Iterations of its loop.")
      .def_readonly("num_frames", &ReplicaStats::num_frames, "Codec frames produced.")
      .def_readonly("num_threads", &ReplicaStats::num_threads,
                    "As IterationStats.num_threads, of its latest iteration.")
      .def_readonly("kv_cache_stats", &ReplicaStats::kv_cache_stats, "Its cache.")
      .def_readonly("failure", &ReplicaStats::failure,
                    "Why its device has failed; empty: it works.");
}

}  // namespace

void register_stats(py::module_& module) {
  register_parts(module);
  register_iterations(module);
  register_replicas(module);
  py::class_<StageTimes> times(module, "StageTimes", "The time that launches spent in one stage.");
  def_plain(times);
  times
      .def_readonly("program", &StageTimes::program,
                    "Name of the Program: \"encode_text\", \"decode\".")
      .def_readonly("stage", &StageTimes::stage,
                    "The stage, such as \"linear 2304 x 768 bfloat16\".")
      .def_readonly("runs", &StageTimes::runs, "Since the start.")
      .def_readonly("seconds", &StageTimes::seconds,
                    "Mean over threads, including the wait for the last thread.")
      .def_readonly("busy_seconds", &StageTimes::busy_seconds, "Of these, inside kernels.")
      .def_readonly("replica", &StageTimes::replica, "Index in ExecutorStats.replicas.");
  py::class_<ExecutorStats> stats(module, "ExecutorStats",
                                  "Counters since the start, and the requests in flight; sums over "
                                  "all replicas, failed ones included.");
  def_plain(stats);
  stats.def_readonly("num_submitted", &ExecutorStats::num_submitted, "Requests that were accepted.")
      .def_readonly("num_completed", &ExecutorStats::num_completed,
                    "Requests that ended whole: \"stop\" or \"length\".")
      .def_readonly("num_failed", &ExecutorStats::num_failed, "Requests that ended with \"error\".")
      .def_readonly("num_cancelled", &ExecutorStats::num_cancelled,
                    "By callers, by close() or by their deadline.")
      .def_readonly("num_refused", &ExecutorStats::num_refused,
                    "Submissions refused because the queue was full.")
      .def_readonly("num_iterations", &ExecutorStats::num_iterations, "Iterations of the loop.")
      .def_readonly("num_frames", &ExecutorStats::num_frames, "Codec frames produced.")
      .def_readonly("iteration_seconds", &ExecutorStats::iteration_seconds, "Sum over iterations.")
      .def_readonly("num_active_requests", &ExecutorStats::num_active_requests,
                    "Requests in flight.")
      .def_readonly("num_queued_requests", &ExecutorStats::num_queued_requests,
                    "Requests that wait.")
      .def_readonly("num_preempted_requests", &ExecutorStats::num_preempted_requests,
                    "Of those in flight, paused for a larger priority.")
      .def_readonly("num_preemptions", &ExecutorStats::num_preemptions,
                    "Times that a request was paused for a larger priority.")
      .def_readonly("max_num_active_requests", &ExecutorStats::max_num_active_requests,
                    "Most requests in flight at once: the limit of the executor.")
      .def_readonly("kv_cache_stats", &ExecutorStats::kv_cache_stats, "The cache.")
      .def_readonly("speculation", &ExecutorStats::speculation, "Of all requests that speculated.")
      .def_readonly("num_voices", &ExecutorStats::num_voices,
                    "Named voices, of the engine and added ones.")
      .def_readonly("voice_bytes", &ExecutorStats::voice_bytes, "Of the added voices.")
      .def_readonly(
          "iterations", &ExecutorStats::iterations,
          "The latest iterations, oldest first; at most ExecutorOptions.iter_stats_max_iterations.")
      .def_readonly(
          "requests", &ExecutorStats::requests,
          "Requests in flight, replica by replica and oldest first, then waiting requests in "
          "order of arrival.")
      .def_readonly("stages", &ExecutorStats::stages,
                    "Stages in the order of their first runs in a program; empty without "
                    "ExecutorOptions.profile and on devices that do not record times.")
      .def_readonly("replicas", &ExecutorStats::replicas,
                    "In the order of ExecutorOptions.device; one where it names one device.");
}

}  // namespace ttsrt::python
