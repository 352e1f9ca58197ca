// The Python module _core: calls one register function per public header. What makes the interface
// pleasant to use is written in Python.
#include "bindings.h"

PYBIND11_MODULE(_core, module) {
  pybind11::options options;
  options.disable_function_signatures();  // _core.pyi has them
  module.doc() = "The C++ library as Python sees it; use the package ttsrt_rt instead.";
  ttsrt::python::register_errors(module);
  ttsrt::python::register_devices(module);
  ttsrt::python::register_options(module);
  ttsrt::python::register_requests(module);
  ttsrt::python::register_results(module);
  ttsrt::python::register_engines(module);
  ttsrt::python::register_publishing(module);
  ttsrt::python::register_audio(module);
  ttsrt::python::register_text(module);
  ttsrt::python::register_build(module);
  ttsrt::python::register_tensorrt(module);
  ttsrt::python::register_memory(module);
  ttsrt::python::register_layers(module);
  ttsrt::python::register_handles(module);
  ttsrt::python::register_selectors(module);
  ttsrt::python::register_stats(module);
  ttsrt::python::register_executors(module);
  ttsrt::python::register_bench(module);
}
