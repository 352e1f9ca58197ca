// Bindings of ttsrt/engine.h.
#include "ttsrt/engine.h"

#include "bindings.h"
#include "interruptible.h"

namespace ttsrt::python {
namespace {

void register_engine_info(py::module_& module) {
  py::class_<EngineInfo>(module, "EngineInfo",
                         "The numbers of an engine that callers need for their requests.")
      .def_readonly("family", &EngineInfo::family)
      .def_property_readonly("dtype", [](const EngineInfo& self) { return name_of(self.dtype); })
      .def_readonly("quantization", &EngineInfo::quantization)
      .def_readonly("group_size", &EngineInfo::group_size)
      .def_readonly("dim", &EngineInfo::dim)
      .def_readonly("codebooks", &EngineInfo::codebooks)
      .def_readonly("codebook_vocab", &EngineInfo::codebook_vocab)
      .def_readonly("frame_stacking", &EngineInfo::frame_stacking)
      .def_readonly("text_vocab", &EngineInfo::text_vocab)
      .def_readonly("frame_rate", &EngineInfo::frame_rate)
      .def_readonly("max_batch_size", &EngineInfo::max_batch_size)
      .def_readonly("max_seq_len", &EngineInfo::max_seq_len)
      .def_readonly("max_input_len", &EngineInfo::max_input_len)
      .def_readonly("max_encoder_input_len", &EngineInfo::max_encoder_input_len)
      .def_readonly("max_num_tokens", &EngineInfo::max_num_tokens)
      .def_readonly("default_prior", &EngineInfo::default_prior)
      .def_readonly("num_voices", &EngineInfo::num_voices)
      .def_readonly("voice_names", &EngineInfo::voice_names)
      .def_readonly("weight_bytes", &EngineInfo::weight_bytes);
}

Engine open(const std::string& path) {
  return run_interruptible([path] { return Engine::open(path); });
}

void verify(const Engine& self) {
  run_interruptible([engine = self] {
    engine.verify();
    return true;
  });
}

}  // namespace

void register_engines(py::module_& module) {
  register_engine_info(module);
  py::class_<EngineTensor>(module, "EngineTensor", "One stored tensor, for inspection.")
      .def_readonly("name", &EngineTensor::name)
      .def_readonly("dtype", &EngineTensor::dtype)
      .def_readonly("shape", &EngineTensor::shape)
      .def_readonly("layout", &EngineTensor::layout)
      .def_readonly("bytes", &EngineTensor::bytes)
      .def_readonly("sha256", &EngineTensor::sha256);
  py::class_<Engine>(module, "Engine", "An opened engine; copies share it. Thread safe.")
      .def_static("open", &open, py::arg("path"),
                  "Reads the folder's descriptions; executors read its weights. Raises FormatError "
                  "naming the file and what is wrong with it.")
      .def_property_readonly("info", &Engine::info, py::return_value_policy::reference_internal)
      .def_property_readonly("path", [](const Engine& self) { return path_text(self.path()); })
      .def_property_readonly("description", &Engine::description, "engine.json, as text.")
      .def("tensors", &Engine::tensors, "Every stored tensor, in the order of the file.")
      .def("verify", &verify,
           "Compares every weight with its recorded hash. Raises FormatError naming the first that "
           "differs.");
}

}  // namespace ttsrt::python
