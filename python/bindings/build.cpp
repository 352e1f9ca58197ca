// Bindings of ttsrt/build.h.
#include "ttsrt/build.h"

#include <pybind11/functional.h>

#include <exception>
#include <optional>

#include "bindings.h"
#include "interruptible.h"

namespace ttsrt::python {
namespace {

using Call = BackgroundCall<bool>;

// Packs on a thread of its own. `progress` is called on this one, between two tensors; if it or a
// signal handler raises, the build stops after the tensor that is being packed, removes what it
// wrote, and then the error leaves.
void build_engine(const std::string& checkpoint_dir, const std::string& output_dir,
                  const BuildOptions& options, const std::optional<BuildProgress>& progress) {
  const BuildProgress* tell = progress ? &*progress : nullptr;
  const auto call = Call::start([=](Call& self) {
    build(checkpoint_dir, output_dir, options,
          [&](std::int32_t done, std::int32_t total, const std::string& name) {
            self.ask([&] {
              if (tell != nullptr) (*tell)(done, total, name);
            });
          });
    return true;
  });
  std::exception_ptr interruption;
  for (Call::State state{}; (state = call->wait_slice()) != Call::State::ended;) {
    try {
      if (state == Call::State::asks) call->answer();
      check_signals();
    } catch (...) {
      interruption = std::current_exception();
      call->leave();
    }
  }
  if (interruption) std::rethrow_exception(interruption);
  call->take();
}

}  // namespace

void register_build(py::module_& module) {
  py::class_<TensorDescription>(module, "TensorDescription", "A tensor that a checkpoint holds.")
      .def_readonly("component", &TensorDescription::component)
      .def_readonly("name", &TensorDescription::name)
      .def_readonly("role", &TensorDescription::role)
      .def_readonly("shape", &TensorDescription::shape)
      .def_property_readonly("dtypes", [](const TensorDescription& self) {
        std::vector<std::string> names;
        for (const DType dtype : self.dtypes) names.emplace_back(name_of(dtype));
        return names;
      });
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
