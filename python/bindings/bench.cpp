// Bindings of ttsrt/bench.h.
#include "ttsrt/bench.h"

#include "bindings.h"

namespace ttsrt::python {

void register_bench(py::module_& module) {
  const py::call_guard<WithoutGil> without_gil;
  py::class_<MachinePeaks>(module, "MachinePeaks", "The peak figures of a device.")
      .def_readonly("isa", &MachinePeaks::isa)
      .def_readonly("num_threads", &MachinePeaks::num_threads)
      .def_readonly("read_gb_per_s", &MachinePeaks::read_gb_per_s)
      .def_readonly("cached_gb_per_s", &MachinePeaks::cached_gb_per_s)
      .def_readonly("float32_gflop_per_s", &MachinePeaks::float32_gflop_per_s)
      .def_readonly("bfloat16_gflop_per_s", &MachinePeaks::bfloat16_gflop_per_s)
      .def_readonly("int8_gop_per_s", &MachinePeaks::int8_gop_per_s);
  module.def("measure_peaks", &measure_peaks, py::arg("device") = "cpu", py::arg("num_threads") = 0,
             py::arg("seconds") = 1.0, without_gil,
             "Measures them for about so many seconds; nothing else should run.");
  module.def("measure_read", &measure_read, py::arg("device") = "cpu", py::arg("num_threads") = 0,
             py::arg("bytes") = 0, py::arg("seconds") = 0.25, without_gil,
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
  py::class_<OpBench>(module, "OpBench", "Runs one operation on random data, many times.")
      .def(py::init<const OpBenchOptions&>(), py::arg("options"), without_gil)
      .def("run", &OpBench::run, py::arg("iterations"), without_gil,
           "Seconds that so many iterations took together.")
      .def("check", &OpBench::check, without_gil,
           "Largest relative difference to the reference; 1 if codes differ.")
      .def_property_readonly("num_ops", &OpBench::num_ops)
      .def_property_readonly("bytes", &OpBench::bytes)
      .def_property_readonly("operations", &OpBench::operations)
      .def_property_readonly("description", &OpBench::description);
}

}  // namespace ttsrt::python
