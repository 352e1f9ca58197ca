// Bindings of ttsrt::Executor. Every call that may wait releases the GIL, and signal handlers run
// while the executor is made and closed.
#include "ttsrt/executor.h"

#include <exception>
#include <memory>
#include <utility>

#include "interruptible.h"
#include "values.h"

namespace ttsrt::python {
namespace {

// Joins the loop thread without the GIL.
struct DeleteWithoutGil {
  void operator()(Executor* executor) const {
    const WithoutGil release;
    delete executor;
  }
};
using ExecutorHolder = std::unique_ptr<Executor, DeleteWithoutGil>;

ExecutorHolder make_executor(const Engine& engine, const ExecutorOptions& options) {
  auto made =
      run_interruptible([engine, options] { return std::make_unique<Executor>(engine, options); });
  return ExecutorHolder(made.release());
}

// The first signal handler that raises makes a drain a cancellation; its error leaves when the
// executor has ended. The next one leaves at once.
void close(Executor& self, const py::object& wants_drain) {
  bool drain = value_from<bool>(wants_drain, "drain");
  std::exception_ptr interruption;
  const auto wait_slice = [&] {
    const WithoutGil release;
    return self.close_for(kSlice, drain);
  };
  while (!wait_slice()) {
    try {
      check_signals();
    } catch (const py::error_already_set&) {
      if (interruption) throw;
      interruption = std::current_exception();
      drain = false;
    }
  }
  if (interruption) std::rethrow_exception(interruption);
}

template <typename T, void (Executor::*add)(const std::string&, Matrix<T>)>
void add_voice(Executor& self, const py::object& name, const py::object& values) {
  const std::string text = value_from<std::string>(name, "name");
  Matrix<T> matrix = matrix_from<T>(array_from<T>(values, 2, "values"));
  const WithoutGil release_for_lock;
  (self.*add)(text, std::move(matrix));
}

SoundPrompt sound_from(const py::object& given) {
  if (!py::isinstance<py::tuple>(given) || py::len(given) != 3)
    throw ConfigError("sound: expected an embedding, codes and a spectrogram, got " + shown(given));
  const auto parts = py::reinterpret_borrow<py::tuple>(given);
  SoundPrompt sound;
  sound.embedding = vector_from<float>(array_from<float>(parts[0], 1, "sound.embedding"));
  sound.codes = vector_from<std::int32_t>(array_from<std::int32_t>(parts[1], 1, "sound.codes"));
  if (!parts[2].is_none())
    sound.spectrogram = matrix_from<float>(array_from<float>(parts[2], 2, "sound.spectrogram"));
  return sound;
}

void add_voice_speaker(Executor& self, const py::object& name, const py::object& embedding,
                       const py::object& prompt_codes, const py::object& emotion,
                       const py::object& prompt_spectrogram, const py::object& sound) {
  const std::string text = value_from<std::string>(name, "name");
  Speaker speaker;
  speaker.embedding = vector_from<float>(array_from<float>(embedding, 1, "embedding"));
  speaker.prompt_codes =
      vector_from<std::int32_t>(array_from<std::int32_t>(prompt_codes, 1, "prompt_codes"));
  speaker.emotion = value_from<std::optional<float>>(emotion, "emotion");
  if (!prompt_spectrogram.is_none())
    speaker.prompt_spectrogram =
        matrix_from<float>(array_from<float>(prompt_spectrogram, 2, "prompt_spectrogram"));
  if (!sound.is_none()) speaker.sound = sound_from(sound);
  const WithoutGil release_for_lock;
  self.add_voice_speaker(text, std::move(speaker));
}

py::object voice_embeddings(const Executor& self, const py::object& voice) {
  const auto which = value_from<VoiceRef>(voice, "voice");
  Matrix<float> rows;
  {
    const WithoutGil release_for_lock;
    rows = self.voice_embeddings(which);
  }
  return py::array_t<float>({rows.rows, rows.cols}, rows.values.data());
}

void remove_voice(Executor& self, const py::object& name) {
  const std::string text = value_from<std::string>(name, "name");
  const WithoutGil release_for_lock;
  self.remove_voice(text);
}

void register_info(py::module_& module) {
  py::class_<ReplicaInfo> replica(module, "ReplicaInfo",
                                  "The device and the memory of one replica.");
  def_plain(replica);
  replica.def_readonly("device", &ReplicaInfo::device, "Its device.")
      .def_readonly("description", &ReplicaInfo::description, "Instruction set, threads.")
      .def_readonly("weight_bytes", &ReplicaInfo::weight_bytes,
                    "Of its own copy on a GPU; 0: it reads those of the host.")
      .def_readonly("state_bytes", &ReplicaInfo::state_bytes, "Caches and slots.")
      .def_readonly("activation_bytes", &ReplicaInfo::activation_bytes,
                    "Activations of all Programs.")
      .def_readonly("scratch_bytes", &ReplicaInfo::scratch_bytes,
                    "Packed inputs and what threads need beside activations.")
      .def_readonly("cache_tokens", &ReplicaInfo::cache_tokens, "Positions of its paged cache.")
      .def_readonly("graph_bytes", &ReplicaInfo::graph_bytes,
                    "What CUDA took for the graphs of the launches and the code of the kernels, as "
                    "measured while the replica started; others that used the GPU meanwhile change "
                    "the number. 0: the device is the CPU.")
      .def_readonly("free_bytes", &ReplicaInfo::free_bytes,
                    "Of the GPU's memory, once the replica had started; 0: the device is the CPU.");
  py::class_<ExecutorInfo> bound(
      module, "ExecutorInfo", "The devices and the memory of an executor; sums over its replicas.");
  def_plain(bound);
  bound
      .def_readonly("device", &ExecutorInfo::device,
                    "The chosen device if the option was \"auto\"; \"cpu,cpu\" for two.")
      .def_readonly("description", &ExecutorInfo::description,
                    "Instruction set, threads; of each replica.")
      .def_readonly("kv_cache_dtype", &ExecutorInfo::kv_cache_dtype, "Type of keys and values.")
      .def_readonly("max_batch_size", &ExecutorInfo::max_batch_size, "Most requests in flight.")
      .def_readonly("max_paused_requests", &ExecutorInfo::max_paused_requests,
                    "Most requests that may be paused at once.")
      .def_readonly("weight_bytes", &ExecutorInfo::weight_bytes,
                    "Of the copies that GPUs keep, and of the engine's file once if a replica "
                    "reads it on the host.")
      .def_readonly("scratch_bytes", &ExecutorInfo::scratch_bytes,
                    "Packed inputs and what threads need beside activations.")
      .def_readonly("state_bytes", &ExecutorInfo::state_bytes, "Caches and slots.")
      .def_readonly("activation_bytes", &ExecutorInfo::activation_bytes,
                    "Activations of all Programs.")
      .def_readonly("cache_tokens", &ExecutorInfo::cache_tokens, "Positions of the paged cache.")
      .def_readonly("graph_bytes", &ExecutorInfo::graph_bytes, "As in ReplicaInfo.")
      .def_readonly("replicas", &ExecutorInfo::replicas, "In the order of ExecutorOptions.device.");
}

}  // namespace

void register_executors(py::module_& module) {
  register_info(module);
  const auto release = py::call_guard<WithoutGil>();
  py::class_<Executor, ExecutorHolder>(module, "Executor",
                                       "Runs requests, many at once. Thread safe.")
      .def(py::init(&make_executor), py::arg("engine"), py::arg("options"), "Opens the device.")
      .def("submit", py::overload_cast<Request>(&Executor::submit), py::arg("request"), release,
           "Checks the request and queues it. Raises ConfigError, CapacityError, ClosedError.")
      .def("add_voice", &add_voice<float, &Executor::add_voice>, py::arg("name"),
           py::arg("embeddings"), "Names a voice: rows as the decoder takes them [rows, dim].")
      .def("add_voice_codes", &add_voice<std::int32_t, &Executor::add_voice_codes>, py::arg("name"),
           py::arg("codes"), "Names a voice: codec codes [frames, codebooks].")
      .def("add_voice_speaker", &add_voice_speaker, py::arg("name"), py::arg("embedding"),
           py::arg("prompt_codes"), py::arg("emotion"), py::arg("prompt_spectrogram") = py::none(),
           py::arg("sound") = py::none(),
           "Names a voice that is made of a speaker embedding [speaker_dim], speech tokens "
           "[tokens] and, for models that make sound of tokens, their spectrogram "
           "[frames, mel_bins]. `sound` has these three for what makes sound of the codes that the "
           "model draws: (embedding, codes, spectrogram or None).")
      .def("voice_embeddings", &voice_embeddings, py::arg("voice"),
           "The rows of a voice as the decoder takes them [rows, dim].")
      .def("remove_voice", &remove_voice, py::arg("name"),
           "Removes a voice; requests that use it go on.")
      .def("voices", &Executor::voices, release, "The names of all voices, sorted.")
      .def("stats", &Executor::stats, release, "Counters and the requests in flight.")
      .def_property_readonly("info", &Executor::info, py::return_value_policy::reference_internal,
                             "The device and the memory of the executor.")
      .def_property_readonly("engine", &Executor::engine,
                             py::return_value_policy::reference_internal, "The engine that runs.")
      .def("close", &close, py::arg("drain") = false,
           "Accepts no more requests and waits for the executor to end. Accepted requests are "
           "finished with `drain`, otherwise cancelled. Idempotent.");
}

}  // namespace ttsrt::python
