// Bindings of ttsrt/memory.h.
#include "ttsrt/memory.h"

#include "bindings.h"

namespace ttsrt::python {

void register_memory(py::module_& module) {
  py::class_<MemoryOptions>(module, "MemoryOptions", "Limits to plan memory for.")
      .def(py::init<>())
      .def_readwrite("device", &MemoryOptions::device)
      .def_readwrite("num_threads", &MemoryOptions::num_threads)
      .def_readwrite("max_batch_size", &MemoryOptions::max_batch_size)
      .def_readwrite("max_seq_len", &MemoryOptions::max_seq_len)
      .def_readwrite("kv_cache_dtype", &MemoryOptions::kv_cache_dtype)
      .def_readwrite("preempt", &MemoryOptions::preempt)
      .def_readwrite("max_paused_requests", &MemoryOptions::max_paused_requests);
  py::class_<MemoryPlan>(module, "MemoryPlan", "Bytes for one choice of limits.")
      .def_readonly("max_batch_size", &MemoryPlan::max_batch_size)
      .def_readonly("max_seq_len", &MemoryPlan::max_seq_len)
      .def_readonly("kv_cache_dtype", &MemoryPlan::kv_cache_dtype)
      .def_readonly("max_paused_requests", &MemoryPlan::max_paused_requests)
      .def_readonly("weights", &MemoryPlan::weights)
      .def_readonly("kv_cache", &MemoryPlan::kv_cache)
      .def_readonly("cross_memory", &MemoryPlan::cross_memory)
      .def_readonly("slots", &MemoryPlan::slots)
      .def_readonly("activations", &MemoryPlan::activations)
      .def_readonly("scratch", &MemoryPlan::scratch)
      .def_readonly("is_served", &MemoryPlan::is_served);
  module.def("plan_memory", &plan_memory, py::arg("engine"), py::arg("options"),
             py::call_guard<WithoutGil>(),
             "What an executor with these limits takes, to the byte. Raises ConfigError for limits "
             "that no engine of this checkpoint could be built for.");
}

}  // namespace ttsrt::python
