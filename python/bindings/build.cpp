// Bindings of ttsrt/build.h.
#include "ttsrt/build.h"

#include "progress.h"

namespace ttsrt::python {
namespace {

// Packs between two calls of `progress`; if it is stopped, it removes what it wrote within some
// milliseconds.
void build_engine(const py::object& checkpoint_dir, const py::object& output_dir,
                  const BuildOptions& options, const py::object& callback) {
  const std::string source = path_from(checkpoint_dir, "checkpoint_dir");
  const std::string target = path_from(output_dir, "output_dir");
  run_with_progress(callback, [=](const BuildProgress& progress, const std::atomic<bool>* stop) {
    build(source, target, options, progress, stop);
  });
}

}  // namespace

void register_build(py::module_& module) {
  py::class_<TensorDescription> bound(module, "TensorDescription",
                                      "A tensor that a checkpoint holds.");
  def_plain(bound);
  bound
      .def_readonly("component", &TensorDescription::component,
                    "The part of the model it belongs to: \"decoder\", ...")
      .def_readonly("name", &TensorDescription::name, "Its name.")
      .def_readonly("role", &TensorDescription::role,
                    "Table, vector, matrix, convolution, transposed, heads, data or unused.")
      .def_readonly("shape", &TensorDescription::shape,
                    "-1: a size that the configuration doesn't fix.")
      .def_property_readonly(
          "dtypes",
          [](const TensorDescription& self) {
            std::vector<std::string> names;
            for (const DType dtype : self.dtypes) names.emplace_back(name_of(dtype));
            return names;
          },
          "The types that it may have.");
  module.def("describe_manifest", &describe_manifest, py::arg("config"),
             py::call_guard<WithoutGil>(),
             "Every tensor that a checkpoint with this config.json holds, in the order of the "
             "file. Raises FormatError.");
  module.def("build", &build_engine, py::arg("checkpoint_dir"), py::arg("output_dir"),
             py::arg("options"), py::arg("progress") = py::none(),
             "Packs a checkpoint into an engine; progress(done, total, name) is called as tensors "
             "are packed.");
}

}  // namespace ttsrt::python
