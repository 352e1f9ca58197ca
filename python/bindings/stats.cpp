// Bindings of ttsrt/stats.h.
#include "ttsrt/stats.h"

#include "bindings.h"

namespace ttsrt::python {

namespace {

void register_iterations(py::module_& module) {
  py::class_<KvCacheStats>(module, "KvCacheStats", "The paged self-attention cache.")
      .def_readonly("max_num_blocks", &KvCacheStats::max_num_blocks)
      .def_readonly("free_num_blocks", &KvCacheStats::free_num_blocks)
      .def_readonly("used_num_blocks", &KvCacheStats::used_num_blocks)
      .def_readonly("tokens_per_block", &KvCacheStats::tokens_per_block)
      .def_readonly("alloc_total_blocks", &KvCacheStats::alloc_total_blocks)
      .def_readonly("alloc_new_blocks", &KvCacheStats::alloc_new_blocks)
      .def_readonly("reused_blocks", &KvCacheStats::reused_blocks);
  py::class_<InflightBatchingStats>(module, "InflightBatchingStats",
                                    "The contents of the iteration's launch.")
      .def_readonly("num_scheduled_requests", &InflightBatchingStats::num_scheduled_requests)
      .def_readonly("num_context_requests", &InflightBatchingStats::num_context_requests)
      .def_readonly("num_gen_requests", &InflightBatchingStats::num_gen_requests)
      .def_readonly("num_paused_requests", &InflightBatchingStats::num_paused_requests)
      .def_readonly("num_ctx_tokens", &InflightBatchingStats::num_ctx_tokens);
  py::class_<IterationStats>(module, "IterationStats",
                             "One iteration of the loop: plan, launch, commit.")
      .def_readonly("timestamp", &IterationStats::timestamp)
      .def_readonly("iter", &IterationStats::iter)
      .def_readonly("iter_latency_ms", &IterationStats::iter_latency_ms)
      .def_readonly("new_active_requests_queue_latency_ms",
                    &IterationStats::new_active_requests_queue_latency_ms)
      .def_readonly("num_new_active_requests", &IterationStats::num_new_active_requests)
      .def_readonly("num_active_requests", &IterationStats::num_active_requests)
      .def_readonly("num_queued_requests", &IterationStats::num_queued_requests)
      .def_readonly("num_completed_requests", &IterationStats::num_completed_requests)
      .def_readonly("num_frames", &IterationStats::num_frames)
      .def_readonly("kv_cache_stats", &IterationStats::kv_cache_stats)
      .def_readonly("inflight_batching_stats", &IterationStats::inflight_batching_stats);
  py::class_<RequestStats>(module, "RequestStats",
                           "One request in flight or waiting, as of the last iteration.")
      .def_readonly("id", &RequestStats::id)
      .def_property_readonly("stage", [](const RequestStats& self) { return name_of(self.stage); })
      .def_readonly("context_prefill_position", &RequestStats::context_prefill_position)
      .def_readonly("num_generated_tokens", &RequestStats::num_generated_tokens)
      .def_readonly("scheduled", &RequestStats::scheduled)
      .def_readonly("paused", &RequestStats::paused);
}

}  // namespace

void register_stats(py::module_& module) {
  register_iterations(module);
  py::class_<StageTimes>(module, "StageTimes", "The time that launches spent in one stage.")
      .def_readonly("program", &StageTimes::program)
      .def_readonly("stage", &StageTimes::stage)
      .def_readonly("runs", &StageTimes::runs)
      .def_readonly("seconds", &StageTimes::seconds)
      .def_readonly("busy_seconds", &StageTimes::busy_seconds);
  py::class_<ExecutorStats>(module, "ExecutorStats",
                            "Counters since the start, and the requests in flight.")
      .def_readonly("num_submitted", &ExecutorStats::num_submitted)
      .def_readonly("num_completed", &ExecutorStats::num_completed)
      .def_readonly("num_failed", &ExecutorStats::num_failed)
      .def_readonly("num_cancelled", &ExecutorStats::num_cancelled)
      .def_readonly("num_refused", &ExecutorStats::num_refused)
      .def_readonly("num_iterations", &ExecutorStats::num_iterations)
      .def_readonly("num_frames", &ExecutorStats::num_frames)
      .def_readonly("iteration_seconds", &ExecutorStats::iteration_seconds)
      .def_readonly("num_active_requests", &ExecutorStats::num_active_requests)
      .def_readonly("num_queued_requests", &ExecutorStats::num_queued_requests)
      .def_readonly("num_paused_requests", &ExecutorStats::num_paused_requests)
      .def_readonly("num_preemptions", &ExecutorStats::num_preemptions)
      .def_readonly("max_num_active_requests", &ExecutorStats::max_num_active_requests)
      .def_readonly("kv_cache_stats", &ExecutorStats::kv_cache_stats)
      .def_readonly("num_voices", &ExecutorStats::num_voices)
      .def_readonly("voice_bytes", &ExecutorStats::voice_bytes)
      .def_readonly("iterations", &ExecutorStats::iterations)
      .def_readonly("requests", &ExecutorStats::requests)
      .def_readonly("stages", &ExecutorStats::stages);
}

}  // namespace ttsrt::python
