// Bindings of ttsrt/tensorrt.h.
#include "ttsrt/tensorrt.h"

#include "progress.h"

namespace ttsrt::python {
namespace {

void build_engine_plans(const py::object& engine_dir, const PlanOptions& options,
                        const py::object& callback) {
  const std::string folder = path_from(engine_dir, "engine_dir");
  run_with_progress(callback, [=](const BuildProgress& progress, const std::atomic<bool>* stop) {
    build_plans(folder, options, progress, stop);
  });
}

}  // namespace

void register_tensorrt(py::module_& module) {
  py::class_<PlanOptions> bound(module, "PlanOptions", "Options of building plans of TensorRT.");
  bound.def(py::init<>(), "The library's defaults.");
  def_repr(bound);
  def_field(bound, "device", &PlanOptions::device, "The GPU that runs the plans: its index.");
  def_field(bound, "tensorrt", &PlanOptions::tensorrt,
            "Major version: 8, 10 or 11; 0: the newest that is installed.");
  def_field(bound, "builder_opt", &PlanOptions::builder_opt,
            "TensorRT's optimization level, 0 to 5.");
  def_field(
      bound, "opt_num_tokens", &PlanOptions::opt_num_tokens,
      "Rows for which kernels of launches that aren't steps are chosen; 0: 128, of flows 2048.");
  def_field(bound, "products", &PlanOptions::products,
            "The layer that products are: \"matrix\" or \"convolution\".");
  def_field(bound, "workspace_mib", &PlanOptions::workspace_mib,
            "Memory that a kernel may ask for; 0: no limit.");
  def_field(bound, "enable_debug_output", &PlanOptions::enable_debug_output,
            "Plans that give what a trace keeps, too.");
  def_field(bound, "input_timing_cache", &PlanOptions::input_timing_cache,
            "A file with times of kernels; empty: none.");
  def_field(bound, "output_timing_cache", &PlanOptions::output_timing_cache,
            "Where the times are written, old and new; empty: nowhere.");
  def_field(bound, "overwrite", &PlanOptions::overwrite, "Replace plans that are there.");
  module.def("build_plans", &build_engine_plans, py::arg("engine_dir"), py::arg("options"),
             py::arg("progress") = py::none(),
             "Builds an engine's plans of TensorRT; progress(done, total, name) is called after "
             "each.");
}

}  // namespace ttsrt::python
