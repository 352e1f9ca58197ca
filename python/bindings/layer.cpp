// Bindings of ttsrt/layer.h.
#include "ttsrt/layer.h"

#include <memory>

#include "values.h"

namespace ttsrt::python {
namespace {

std::shared_ptr<LlmLayer> make_layer(const std::string& stack, const py::object& max_rows,
                                     const std::string& device, const py::object& num_threads) {
  const auto rows = value_from<std::int32_t>(max_rows, "max_rows");
  const auto threads = value_from<std::int32_t>(num_threads, "num_threads");
  const WithoutGil release;
  return std::make_shared<LlmLayer>(stack, rows, device, threads);
}

void set_weight(LlmLayer& self, const std::string& name, const py::object& values) {
  const Matrix<float> matrix = matrix_from(array_from<float>(values, 2, name));
  const WithoutGil release;
  self.set(name, matrix);
}

py::dict run_part(LlmLayer& self, const std::string& part, const py::object& rows) {
  const Matrix<float> matrix = matrix_from(array_from<float>(rows, 2, "rows"));
  std::vector<LayerValues> made;
  {
    const WithoutGil release;
    made = self.run(part, matrix);
  }
  py::dict found;
  for (LayerValues& each : made) {
    const auto owner = py::cast(std::make_unique<LayerValues>(std::move(each)));
    found[py::str(owner.cast<const LayerValues&>().name)] =
        view_of(owner.cast<const LayerValues&>().values, owner);
  }
  return found;
}

}  // namespace

void register_layers(py::module_& module) {
  py::class_<LayerValues>(module, "LayerValues", "Values of one buffer of a layer.")
      .def_readonly("name", &LayerValues::name, "The name, such as \"attn_in\".");
  py::class_<LlmLayer, std::shared_ptr<LlmLayer>>(
      module, "LlmLayer", "One layer of a language model by itself, in float32. Not thread safe.")
      .def(py::init(&make_layer), py::arg("stack"), py::arg("max_rows"), py::arg("device") = "cpu",
           py::arg("num_threads") = 0,
           "Takes the object \"decoder\" of a language model's config.json, as JSON.")
      .def("weights", &LlmLayer::weights, "Names of the weights that set() takes.")
      .def("set", &set_weight, py::arg("name"), py::arg("values"),
           "Replaces a weight: float32 [outputs, inputs], or [1, size].")
      .def("run", &run_part, py::arg("part"), py::arg("rows"),
           "Runs a part over the rows of one text; float32 arrays by name.");
}

}  // namespace ttsrt::python
