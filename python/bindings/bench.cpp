// Bindings of ttsrt/bench.h.
#include "ttsrt/bench.h"

#include <memory>

#include "interruptible.h"
#include "values.h"

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

double barrier(const std::string& device, std::int32_t num_threads, double seconds) {
  return run_interruptible([=] { return measure_barrier(device, num_threads, seconds); });
}

double check(const std::shared_ptr<OpBench>& self) {
  return run_interruptible([self] { return self->check(); });
}

}  // namespace

namespace {

void register_options_of_ops(py::module_& module) {
  py::class_<OpBenchOptions> bound(module, "OpBenchOptions", "One operation at one shape.");
  bound.def(py::init<>(), "The library's defaults.");
  def_repr(bound);
  def_field(bound, "family", &OpBenchOptions::family, "One of op_bench_families().");
  def_field(bound, "device", &OpBenchOptions::device, "As in ExecutorOptions.");
  def_field(bound, "num_threads", &OpBenchOptions::num_threads, "As in ExecutorOptions.");
  def_field(bound, "rows", &OpBenchOptions::rows, "Rows, or requests, of one op.");
  def_field(bound, "outputs", &OpBenchOptions::outputs, "Outputs of a product, N.");
  def_field(bound, "inputs", &OpBenchOptions::inputs, "Inputs of a product, K.");
  def_field(bound, "heads", &OpBenchOptions::heads, "Heads of attention.");
  def_field(bound, "head_dim", &OpBenchOptions::head_dim, "Width of a head.");
  def_field(bound, "length", &OpBenchOptions::length, "Positions of a cache or a text.");
  def_field(bound, "layers", &OpBenchOptions::layers, "Layers of a local transformer.");
  def_field(bound, "codebooks", &OpBenchOptions::codebooks, "Codes of one draw.");
  def_field(bound, "vocab", &OpBenchOptions::vocab, "Ids of one code.");
  def_field(bound, "dtype", &OpBenchOptions::dtype,
            "Of weights: \"float32\", \"bfloat16\", \"float16\".");
  def_field(bound, "cache_dtype", &OpBenchOptions::cache_dtype,
            "Of keys and values: the same, or \"int8\".");
  def_field(bound, "quantization", &OpBenchOptions::quantization,
            "Of the weights, as BuildOptions.quantization.");
  def_field(bound, "group_size", &OpBenchOptions::group_size, "As BuildOptions.group_size.");
  def_field(
      bound, "resident", &OpBenchOptions::resident,
      "Whether all ops use the same weight or cache, which then stays in the processor's caches. "
      "If not, each op of an iteration has its own, and together they are larger than all caches "
      "(with at most 256 ops, 64 layers of cross-attention and 4e9 operations).");
}

}  // namespace

void register_bench(py::module_& module) {
  py::class_<MachinePeaks> bound(module, "MachinePeaks", "The peak figures of a device.");
  def_plain(bound);
  bound.def_readonly("isa", &MachinePeaks::isa, "Instruction set, such as \"avx512_bf16\".")
      .def_readonly("num_threads", &MachinePeaks::num_threads, "The threads that were measured.")
      .def_readonly("read_gb_per_s", &MachinePeaks::read_gb_per_s,
                    "From memory, as measure_read; 1 GB is 1e9 bytes.")
      .def_readonly("cached_gb_per_s", &MachinePeaks::cached_gb_per_s,
                    "From the shared cache: measure_read of 16 MiB.")
      .def_readonly("float32_gflop_per_s", &MachinePeaks::float32_gflop_per_s,
                    "A multiply-add counts 2.")
      .def_readonly("bfloat16_gflop_per_s", &MachinePeaks::bfloat16_gflop_per_s,
                    "Products of bfloat16, sums in float32.")
      .def_readonly("int8_gop_per_s", &MachinePeaks::int8_gop_per_s,
                    "Products of int8, sums in int32.");
  module.def("measure_peaks", &peaks, py::arg("device") = "cpu", py::arg("num_threads") = 0,
             py::arg("seconds") = 1.0,
             "Measures them for about so many seconds; nothing else should run.");
  module.def("measure_read", &read, py::arg("device") = "cpu", py::arg("num_threads") = 0,
             py::arg("bytes") = 0, py::arg("seconds") = 0.25,
             "GB/s of reading so many bytes again and again; 0: beyond all caches.");
  module.def("measure_barrier", &barrier, py::arg("device") = "cpu", py::arg("num_threads") = 0,
             py::arg("seconds") = 0.1,
             "Seconds that all threads take to wait for each other once.");
  register_options_of_ops(module);
  module.def("op_bench_families", &op_bench_families, "The families of operations.");
  py::class_<OpBench, std::shared_ptr<OpBench>>(module, "OpBench",
                                                "Runs one operation on random data, many times.")
      .def(py::init(&make_bench), py::arg("options"), "Creates weights, caches and their contents.")
      .def("run", &run, py::arg("iterations"), "Seconds that so many iterations took together.")
      .def("check", &check, "Largest relative difference to the reference; 1 if codes differ.")
      .def_property_readonly("num_ops", &OpBench::num_ops, "Ops per iteration.")
      .def_property_readonly("bytes", &OpBench::bytes,
                             "Bytes that an op reads and writes: weights, caches, rows.")
      .def_property_readonly("operations", &OpBench::operations,
                             "Arithmetic operations of an op; a multiply-add counts 2.")
      .def_property_readonly("description", &OpBench::description,
                             "Of the device: instruction set, threads.");
}

}  // namespace ttsrt::python
