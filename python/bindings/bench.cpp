// Bindings of ttsrt/bench.h.
#include "ttsrt/bench.h"

#include <memory>

#include "bindings.h"
#include "interruptible.h"

namespace ttsrt::python {
namespace {

std::shared_ptr<OpBench> make_bench(const OpBenchOptions& options) {
  return run_interruptible([options] { return std::make_shared<OpBench>(options); });
}

double run(const std::shared_ptr<OpBench>& self, std::int64_t iterations) {
  using Call = BackgroundCall<double>;
  const auto call = Call::start([=](Call&) { return self->run(iterations); });
  try {
    while (call->wait_slice() != Call::State::ended) check_signals();
  } catch (const py::error_already_set&) {
    self->stop();  // after an iteration, and only then may it be used again
    while (call->wait_slice() != Call::State::ended) {
    }
    throw;
  }
  return call->take();
}

MachinePeaks peaks(const std::string& device, std::int32_t num_threads, double seconds) {
  return run_interruptible([=] { return measure_peaks(device, num_threads, seconds); });
}

double read(const std::string& device, std::int32_t num_threads, std::int64_t bytes,
            double seconds) {
  return run_interruptible([=] { return measure_read(device, num_threads, bytes, seconds); });
}

double check(const std::shared_ptr<OpBench>& self) {
  return run_interruptible([self] { return self->check(); });
}

}  // namespace

void register_bench(py::module_& module) {
  py::class_<MachinePeaks>(module, "MachinePeaks", "The peak figures of a device.")
      .def_readonly("isa", &MachinePeaks::isa)
      .def_readonly("num_threads", &MachinePeaks::num_threads)
      .def_readonly("read_gb_per_s", &MachinePeaks::read_gb_per_s)
      .def_readonly("cached_gb_per_s", &MachinePeaks::cached_gb_per_s)
      .def_readonly("float32_gflop_per_s", &MachinePeaks::float32_gflop_per_s)
      .def_readonly("bfloat16_gflop_per_s", &MachinePeaks::bfloat16_gflop_per_s)
      .def_readonly("int8_gop_per_s", &MachinePeaks::int8_gop_per_s);
  module.def("measure_peaks", &peaks, py::arg("device") = "cpu", py::arg("num_threads") = 0,
             py::arg("seconds") = 1.0,
             "Measures them for about so many seconds; nothing else should run.");
  module.def("measure_read", &read, py::arg("device") = "cpu", py::arg("num_threads") = 0,
             py::arg("bytes") = 0, py::arg("seconds") = 0.25,
             "GB/s of reading so many bytes again and again; 0: beyond all caches.");
  py::class_<OpBenchOptions>(module, "OpBenchOptions", "One operation at one shape.")
      .def(py::init<>())
      .def_readwrite("family", &OpBenchOptions::family)
      .def_readwrite("device", &OpBenchOptions::device)
      .def_readwrite("num_threads", &OpBenchOptions::num_threads)
      .def_readwrite("rows", &OpBenchOptions::rows)
      .def_readwrite("outputs", &OpBenchOptions::outputs)
      .def_readwrite("inputs", &OpBenchOptions::inputs)
      .def_readwrite("heads", &OpBenchOptions::heads)
      .def_readwrite("head_dim", &OpBenchOptions::head_dim)
      .def_readwrite("length", &OpBenchOptions::length)
      .def_readwrite("layers", &OpBenchOptions::layers)
      .def_readwrite("codebooks", &OpBenchOptions::codebooks)
      .def_readwrite("vocab", &OpBenchOptions::vocab)
      .def_readwrite("dtype", &OpBenchOptions::dtype)
      .def_readwrite("cache_dtype", &OpBenchOptions::cache_dtype)
      .def_readwrite("quantization", &OpBenchOptions::quantization)
      .def_readwrite("group_size", &OpBenchOptions::group_size)
      .def_readwrite("resident", &OpBenchOptions::resident);
  module.def("op_bench_families", &op_bench_families, "The families of operations.");
  py::class_<OpBench, std::shared_ptr<OpBench>>(module, "OpBench",
                                                "Runs one operation on random data, many times.")
      .def(py::init(&make_bench), py::arg("options"))
      .def("run", &run, py::arg("iterations"), "Seconds that so many iterations took together.")
      .def("check", &check, "Largest relative difference to the reference; 1 if codes differ.")
      .def_property_readonly("num_ops", &OpBench::num_ops)
      .def_property_readonly("bytes", &OpBench::bytes)
      .def_property_readonly("operations", &OpBench::operations)
      .def_property_readonly("description", &OpBench::description);
}

}  // namespace ttsrt::python
