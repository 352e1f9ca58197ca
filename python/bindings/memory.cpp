// Bindings of ttsrt/memory.h.
#include "ttsrt/memory.h"

#include "values.h"

namespace ttsrt::python {
namespace {

void register_plan(py::module_& module) {
  py::class_<MemoryPlan> plan(module, "MemoryPlan",
                              "Bytes for one choice of limits; sums over the replicas, while the "
                              "limits are of each.");
  def_plain(plan);
  plan.def_readonly("max_batch_size", &MemoryPlan::max_batch_size, "Requests in flight.")
      .def_readonly("max_seq_len", &MemoryPlan::max_seq_len, "Decoder positions of each.")
      .def_readonly("kv_cache_dtype", &MemoryPlan::kv_cache_dtype, "Type of keys and values.")
      .def_readonly("max_paused_requests", &MemoryPlan::max_paused_requests,
                    "Requests that may be paused besides; 0 without preemption.")
      .def_readonly("max_num_tokens", &MemoryPlan::max_num_tokens,
                    "Rows of one Program in one launch.")
      .def_readonly("cache_tokens", &MemoryPlan::cache_tokens, "Positions of the paged cache.")
      .def_readonly("weights", &MemoryPlan::weights,
                    "The copies that GPUs keep, and the engine's file once if a replica reads it "
                    "on the host.")
      .def_readonly(
          "kv_cache", &MemoryPlan::kv_cache,
          "Self-attention: two branches and a shared prefix per request, paused ones included.")
      .def_readonly("cross_memory", &MemoryPlan::cross_memory,
                    "Cross-attention: keys and values of texts and contexts.")
      .def_readonly("slots", &MemoryPlan::slots, "Everything else that a request keeps.")
      .def_readonly("activations", &MemoryPlan::activations, "Activations of all Programs.")
      .def_readonly("scratch", &MemoryPlan::scratch,
                    "Packed inputs and what threads need beside activations.")
      .def_readonly("is_served", &MemoryPlan::is_served,
                    "Whether this engine, as it was built, can be opened so.")
      .def_readonly("replicas", &MemoryPlan::replicas,
                    "What each replica takes, in the order of MemoryOptions.device.");
}

void register_memory_options(py::module_& module) {
  py::class_<MemoryOptions> bound(module, "MemoryOptions", "Limits to plan memory for.");
  bound.def(py::init<>(), "The library's defaults.");
  def_repr(bound);
  def_field(bound, "device", &MemoryOptions::device, "As ExecutorOptions.device.");
  def_field(bound, "num_threads", &MemoryOptions::num_threads, "As ExecutorOptions.num_threads.");
  def_field(bound, "max_batch_size", &MemoryOptions::max_batch_size,
            "Requests in flight; 0: the engine's.");
  def_field(bound, "max_seq_len", &MemoryOptions::max_seq_len,
            "Decoder positions; 0: the engine's.");
  def_field(bound, "kv_cache_dtype", &MemoryOptions::kv_cache_dtype,
            "As ExecutorOptions.kv_cache_dtype.");
  def_field(bound, "preempt", &MemoryOptions::preempt, "As ExecutorOptions.preempt.");
  def_field(bound, "max_paused_requests", &MemoryOptions::max_paused_requests,
            "As ExecutorOptions.max_paused_requests.");
  def_field(bound, "max_num_tokens", &MemoryOptions::max_num_tokens,
            "Rows of one Program in one launch; 0: the engine's.");
  def_field(bound, "max_tokens_in_paged_kv_cache", &MemoryOptions::max_tokens_in_paged_kv_cache,
            "As ExecutorOptions.max_tokens_in_paged_kv_cache.");
  def_field(bound, "kv_cache_free_gpu_mem_fraction", &MemoryOptions::kv_cache_free_gpu_mem_fraction,
            "As in ExecutorOptions: on a GPU, of the memory that is free there now.");
  def_field(bound, "speculation", &MemoryOptions::speculation, "As ExecutorOptions.speculation.");
  bound.def_property(
      "draft_engine", [](const MemoryOptions& self) { return optional_path(self.draft_engine); },
      [](MemoryOptions& self, const py::object& path) {
        self.draft_engine = path_or_empty(path, "draft_engine");
      },
      "As ExecutorOptions.draft_engine.");
}

}  // namespace

void register_memory(py::module_& module) {
  register_memory_options(module);
  py::class_<ReplicaMemory> replica(module, "ReplicaMemory", "Bytes of one replica.");
  def_plain(replica);
  replica.def_readonly("device", &ReplicaMemory::device, "The device.")
      .def_readonly("kv_cache", &ReplicaMemory::kv_cache, "Self-attention.")
      .def_readonly("cross_memory", &ReplicaMemory::cross_memory, "Cross-attention.")
      .def_readonly("slots", &ReplicaMemory::slots, "Everything else that a request keeps.")
      .def_readonly("activations", &ReplicaMemory::activations, "Activations of all Programs.")
      .def_readonly("scratch", &ReplicaMemory::scratch,
                    "Packed inputs and what threads need beside activations.")
      .def_readonly("weights", &ReplicaMemory::weights,
                    "Of its own copy on a GPU; 0: it reads those of the host.")
      .def_readonly("free", &ReplicaMemory::free,
                    "Of the GPU's memory, while this was planned; 0: the device is the CPU.")
      .def_readonly("cache_tokens", &ReplicaMemory::cache_tokens, "Positions of its paged cache.");
  register_plan(module);
  module.def("plan_memory", &plan_memory, py::arg("engine"), py::arg("options"),
             py::call_guard<WithoutGil>(),
             "What an executor with these limits takes, to the byte. Raises ConfigError for limits "
             "that no engine of this checkpoint could be built for.");
}

}  // namespace ttsrt::python
