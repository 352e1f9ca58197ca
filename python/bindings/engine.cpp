// Bindings of ttsrt/engine.h.
#include "ttsrt/engine.h"

#include "interruptible.h"
#include "ttsrt/text.h"
#include "values.h"

namespace ttsrt::python {
namespace {

void def_limits(py::class_<EngineInfo>& bound) {
  bound.def_readonly("max_batch_size", &EngineInfo::max_batch_size, "Most requests in flight.")
      .def_readonly("max_seq_len", &EngineInfo::max_seq_len,
                    "Most decoder positions, context included.")
      .def_readonly("max_input_len", &EngineInfo::max_input_len, "Most context rows.")
      .def_readonly("max_encoder_input_len", &EngineInfo::max_encoder_input_len,
                    "Most text tokens.")
      .def_readonly("max_num_tokens", &EngineInfo::max_num_tokens,
                    "Most rows of one Program in one launch.");
}

void register_engine_info(py::module_& module) {
  py::class_<EngineInfo> bound(module, "EngineInfo",
                               "The numbers of an engine that callers need for their requests.");
  def_plain(bound);
  bound
      .def_readonly("family", &EngineInfo::family,
                    "The kind of model: \"magpie\", \"t3\", \"llm\", \"f5\", \"vocos\", "
                    "\"nanocodec\".")
      .def_property_readonly(
          "dtype", [](const EngineInfo& self) { return name_of(self.dtype); },
          "Of the weights that are not quantized.")
      .def_readonly("quantization", &EngineInfo::quantization, "Quantization of the matrices.")
      .def_readonly("group_size", &EngineInfo::group_size,
                    "Inputs that share a scale; 0: no groups.")
      .def_readonly("dim", &EngineInfo::dim, "Width of the decoder.")
      .def_readonly("codebooks", &EngineInfo::codebooks, "Codes of one codec frame.")
      .def_readonly("codebook_vocab", &EngineInfo::codebook_vocab,
                    "Ids of one codebook, special ids included.")
      .def_readonly("frame_stacking", &EngineInfo::frame_stacking,
                    "Codec frames of one decoder step.")
      .def_readonly("text_vocab", &EngineInfo::text_vocab, "Ids of the text table.")
      .def_readonly("frame_rate", &EngineInfo::frame_rate, "Codec frames per second of audio.")
      .def_readonly(
          "special_ids", &EngineInfo::special_ids,
          "Ids with a meaning of their own, by name: audio_eos, text_eos and so on; which "
          "there are depends on the family.")
      .def_readonly("forbidden_ids", &EngineInfo::forbidden_ids, "Codes that are never sampled.")
      .def_readonly("eos_id", &EngineInfo::eos_id, "The code that ends the speech.")
      .def_property_readonly(
          "codec",
          [](const EngineInfo& self) {
            return self.codec.empty() ? std::nullopt : std::optional(self.codec);
          },
          "The codec as the checkpoint names it; None where it names none.")
      .def_property_readonly(
          "sample_rate",
          [](const EngineInfo& self) {
            return self.sample_rate == 0 ? std::nullopt : std::optional(self.sample_rate);
          },
          "Of the codec's audio, in Hz; None where the checkpoint does not say it.")
      .def_readonly("has_vocoder", &EngineInfo::has_vocoder, "Whether results have audio.")
      .def_readonly("samples_per_frame", &EngineInfo::samples_per_frame,
                    "Samples that a codec frame becomes; 0: there is no codec.")
      .def_readonly("has_encoder", &EngineInfo::has_encoder,
                    "A codec: whether it makes codes of samples.")
      .def_readonly("mel_bins", &EngineInfo::mel_bins,
                    "Columns of spectrograms; 0: the model has none.");
  def_limits(bound);
  bound
      .def_readonly("default_prior", &EngineInfo::default_prior,
                    "The checkpoint's attention prior; None where it has none.")
      .def_readonly("num_voices", &EngineInfo::num_voices, "Voices stored in the engine.")
      .def_readonly("voice_names", &EngineInfo::voice_names, "Their names, sorted.")
      .def_readonly("weight_bytes", &EngineInfo::weight_bytes, "Bytes of all tensors.");
}

Engine open_engine(const py::object& path) {
  const std::string folder = path_from(path, "engine");
  return run_interruptible([folder] { return Engine::open(folder); });
}

// "Engine('magpie-engine', magpie, bfloat16 w8a16)"
std::string describe(const Engine& self) {
  const EngineInfo& info = self.info();
  const std::string path = py::str(py::repr(path_text(self.path())));
  const std::string quantization = info.quantization == "none" ? "" : " " + info.quantization;
  return "Engine(" + path + ", " + info.family + ", " + name_of(info.dtype) + quantization + ")";
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
  py::class_<EngineTensor> tensor(module, "EngineTensor", "One stored tensor, for inspection.");
  def_plain(tensor);
  tensor.def_readonly("name", &EngineTensor::name, "Its name.")
      .def_readonly("dtype", &EngineTensor::dtype, "Its type: \"float32\", \"int8\" and so on.")
      .def_readonly("shape", &EngineTensor::shape, "As stored, padding included.")
      .def_readonly("layout", &EngineTensor::layout,
                    "\"dense\", \"panel16\", or \"panel16_w8a16\" and the like.")
      .def_readonly("bytes", &EngineTensor::bytes, "Its size.")
      .def_readonly("sha256", &EngineTensor::sha256,
                    "The hash of its bytes that the build recorded.");
  py::class_<Engine>(module, "Engine", "An opened engine; copies share it. Thread safe.")
      .def(py::init([](const py::args&, const py::kwargs&) -> Engine {
        throw ConfigError("Engine: expected Engine.open(path), which opens an engine's folder");
      }))
      .def_static("open", &open_engine, py::arg("path"),
                  "Reads the folder's descriptions; executors read its weights. Raises FormatError "
                  "naming the file and what is wrong with it.")
      .def_property_readonly("info", &Engine::info, py::return_value_policy::reference_internal,
                             "What callers must know for their requests.")
      .def_property_readonly(
          "path", [](const Engine& self) { return path_text(self.path()); }, "The engine's folder.")
      .def("__repr__", &describe)
      .def_property_readonly("description", &Engine::description, "engine.json, as text.")
      .def_property_readonly(
          "front_end",
          [](const Engine& self) {
            return std::const_pointer_cast<TextFrontEnd>(self.front_end());
          },
          "What turns text into ids for this engine; None if it carries nothing of the kind, or "
          "something that only Python knows.")
      .def("tensors", &Engine::tensors, "Every stored tensor, in the order of the file.")
      .def("verify", &verify,
           "Compares every weight with its recorded hash. Raises FormatError naming the first that "
           "differs.");
}

}  // namespace ttsrt::python
