// Bindings of ttsrt/build.h.
#include "ttsrt/build.h"

#include <pybind11/functional.h>

#include <atomic>
#include <exception>
#include <memory>
#include <optional>

#include "interruptible.h"
#include "values.h"

namespace ttsrt::python {
namespace {

using Call = BackgroundCall<bool>;

std::optional<BuildProgress> progress_from(const py::object& callback) {
  if (callback.is_none()) return std::nullopt;
  if (!PyCallable_Check(callback.ptr()))
    throw ConfigError("progress: expected a function or None, got " + shown(callback));
  return callback.cast<BuildProgress>();
}

// Packs on a thread of its own. `progress` is called on this one, between two tensors; if it or a
// signal handler raises, the build stops within some milliseconds, removes what it wrote, and then
// the error leaves.
void build_engine(const py::object& checkpoint_dir, const py::object& output_dir,
                  const BuildOptions& options, const py::object& callback) {
  const std::string source = path_from(checkpoint_dir, "checkpoint_dir");
  const std::string target = path_from(output_dir, "output_dir");
  const std::optional<BuildProgress> progress = progress_from(callback);
  const BuildProgress* tell = progress ? &*progress : nullptr;
  const auto stops = std::make_shared<std::atomic<bool>>(false);
  const auto call = Call::start([=](Call& self) {
    build(
        source, target, options,
        [&](std::int32_t done, std::int32_t total, const std::string& name) {
          self.ask([&] {
            if (tell != nullptr) (*tell)(done, total, name);
          });
        },
        stops.get());
    return true;
  });
  std::exception_ptr interruption;
  for (Call::State state{}; (state = call->wait_slice()) != Call::State::ended;) {
    try {
      if (state == Call::State::asks) call->answer();
      check_signals();
    } catch (...) {
      interruption = std::current_exception();
      if (!call->is_here()) break;  // a forked child; the build is its parent's
      *stops = true;
      call->leave();
    }
  }
  if (interruption) std::rethrow_exception(interruption);
  call->take();
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
