// Bindings of ttsrt::Executor. Every call that may wait releases the GIL, and signal handlers run
// while the executor is made and closed.
#include "ttsrt/executor.h"

#include <exception>
#include <memory>
#include <utility>

#include "bindings.h"
#include "interruptible.h"

namespace ttsrt::python {
namespace {

// Joins the loop thread without the GIL.
struct DeleteWithoutGil {
  void operator()(Executor* executor) const {
    const WithoutGil release;
    delete executor;
  }
};
using ExecutorHolder = std::unique_ptr<Executor, DeleteWithoutGil>;

ExecutorHolder make_executor(const Engine& engine, const ExecutorOptions& options) {
  auto made =
      run_interruptible([engine, options] { return std::make_unique<Executor>(engine, options); });
  return ExecutorHolder(made.release());
}

// The first signal handler that raises makes a drain a cancellation; its error leaves when the
// executor has ended. The next one leaves at once.
void close(Executor& self, bool drain) {
  std::exception_ptr interruption;
  const auto wait_slice = [&] {
    const WithoutGil release;
    return self.close_for(kSlice, drain);
  };
  while (!wait_slice()) {
    try {
      check_signals();
    } catch (const py::error_already_set&) {
      if (interruption) throw;
      interruption = std::current_exception();
      drain = false;
    }
  }
  if (interruption) std::rethrow_exception(interruption);
}

template <typename T, void (Executor::*add)(const std::string&, Matrix<T>)>
void add_voice(Executor& self, const std::string& name,
               const py::array_t<T, py::array::c_style>& values) {
  Matrix<T> matrix = matrix_from<T>(values);
  const WithoutGil release_for_lock;
  (self.*add)(name, std::move(matrix));
}

void register_info(py::module_& module) {
  py::class_<ExecutorInfo>(module, "ExecutorInfo", "The device and the memory of an executor.")
      .def_readonly("device", &ExecutorInfo::device)
      .def_readonly("description", &ExecutorInfo::description)
      .def_readonly("kv_cache_dtype", &ExecutorInfo::kv_cache_dtype)
      .def_readonly("max_batch_size", &ExecutorInfo::max_batch_size)
      .def_readonly("max_paused_requests", &ExecutorInfo::max_paused_requests)
      .def_readonly("weight_bytes", &ExecutorInfo::weight_bytes)
      .def_readonly("scratch_bytes", &ExecutorInfo::scratch_bytes)
      .def_readonly("state_bytes", &ExecutorInfo::state_bytes)
      .def_readonly("activation_bytes", &ExecutorInfo::activation_bytes);
}

}  // namespace

void register_executors(py::module_& module) {
  register_info(module);
  const auto release = py::call_guard<WithoutGil>();
  py::class_<Executor, ExecutorHolder>(module, "Executor",
                                       "Runs requests, many at once. Thread safe.")
      .def(py::init(&make_executor), py::arg("engine"), py::arg("options"))
      .def("submit", py::overload_cast<Request>(&Executor::submit), py::arg("request"), release,
           "Checks the request and queues it. Raises ConfigError, CapacityError, ClosedError.")
      .def("add_voice", &add_voice<float, &Executor::add_voice>, py::arg("name"),
           py::arg("embeddings"), "Names a voice: rows as the decoder takes them [rows, dim].")
      .def("add_voice_codes", &add_voice<std::int32_t, &Executor::add_voice_codes>, py::arg("name"),
           py::arg("codes"), "Names a voice: codec codes [frames, codebooks].")
      .def("remove_voice", &Executor::remove_voice, py::arg("name"), release)
      .def("voices", &Executor::voices, release)
      .def("stats", &Executor::stats, release)
      .def_property_readonly("info", &Executor::info, py::return_value_policy::reference_internal)
      .def_property_readonly("engine", &Executor::engine,
                             py::return_value_policy::reference_internal)
      .def("close", &close, py::arg("drain") = false,
           "Accepts no more requests and waits for the executor to end. Accepted requests are "
           "finished with `drain`, otherwise cancelled. Idempotent.");
}

}  // namespace ttsrt::python
