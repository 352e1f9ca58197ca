// Bindings of the request part of ttsrt/request.h. Arrays of the host are copied, because a request
// owns its values; those of a GPU are kept where they are.
#include "ttsrt/request.h"

#include "owner.h"
#include "values.h"

namespace ttsrt::python {
namespace {

template <typename T>
void def_matrix(py::class_<Request>& bound, const char* name, Matrix<T> Request::* field,
                const char* doc) {
  bound.def_property(
      name, [field](py::object self) { return view_of(self.cast<const Request&>().*field, self); },
      [field, name](Request& self, const py::object& value) {
        self.*field = matrix_from<T>(array_from<T>(value, 2, name));
      },
      doc);
}

void def_rows(py::class_<Request>& bound, const char* name, InputRows Request::* field,
              const char* doc) {
  bound.def_property(
      name,
      [field](py::object self) -> py::object {
        const InputRows& rows = self.cast<const Request&>().*field;
        return rows.is_on_gpu() ? py::cast(rows) : view_of(rows, self);
      },
      [field, name](Request& self, const py::object& value) {
        self.*field = py::isinstance<InputRows>(value)
                          ? value.cast<InputRows>()
                          : InputRows(matrix_from<float>(array_from<float>(value, 2, name)));
      },
      doc);
}

template <typename T>
void def_vector(py::class_<Request>& bound, const char* name, std::vector<T> Request::* field,
                const char* doc) {
  bound.def_property(
      name, [field](py::object self) { return view_of(self.cast<const Request&>().*field, self); },
      [field, name](Request& self, const py::object& value) {
        self.*field = vector_from<T>(array_from<T>(value, 1, name));
      },
      doc);
}

void def_arrays(py::class_<Request>& bound) {
  def_vector(bound, "text_ids", &Request::text_ids, "Ids, used unchanged [text_len].");
  def_rows(bound, "text_features", &Request::text_features,
           "Rows before the encoder [text_len, dim].");
  def_rows(bound, "encoder_output", &Request::encoder_output,
           "Rows after the encoder [text_len, dim].");
  def_matrix(bound, "context_codes", &Request::context_codes,
             "Codec codes, with special columns [frames, codebooks].");
  def_rows(bound, "context_embeddings", &Request::context_embeddings,
           "Rows as the decoder takes them [rows, dim].");
  def_vector(bound, "context_text_ids", &Request::context_text_ids,
             "Ids of a text that describes the voice [context_text_len].");
  def_vector(bound, "text_chunks", &Request::text_chunks,
             "How many of text_ids each chunk of a long text has; empty: it is one [chunks].");
  def_vector(bound, "text_silences", &Request::text_silences,
             "Samples of silence in front of each chunk, and behind the last [chunks + 1].");
  def_matrix(bound, "forced_codes", &Request::forced_codes,
             "Codes that are taken instead of the sampled ones [frames, codebooks].");
  def_rows(bound, "prompt_embeddings", &Request::prompt_embeddings,
           "The whole prompt instead of a text and a context [rows, dim].");
  def_rows(bound, "noise", &Request::noise, "Where an integration begins [frames, mel_bins].");
  def_vector(bound, "edit_mask", &Request::edit_mask,
             "1 for frames of the prompt that stay as they are, else 0 [frames].");
  def_rows(bound, "mel", &Request::mel,
           "The spectrogram that a vocoder turns into sound [frames, mel_bins].");
  def_matrix(bound, "codes", &Request::codes,
             "Codes that a codec turns into sound [frames, codebooks].");
  def_vector(bound, "samples", &Request::samples,
             "Samples that a codec turns into codes, at its sample rate.");
  def_rows(bound, "unconditional_embeddings", &Request::unconditional_embeddings,
           "The unconditional branch's, with prompt_embeddings and guidance [rows, dim].");
}

// Strings with surrogates are no names.
bool may_name_a_voice(const py::str& name) {
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(name.ptr(), &size);
  if (text == nullptr) PyErr_Clear();
  return text != nullptr && is_voice_name(std::string(text, static_cast<std::size_t>(size)));
}

// The options of draws and of what decides them.
void def_sampling(py::class_<Request>& bound) {
  def_field(bound, "cfg_scale", &Request::cfg_scale, "1: no guidance, one branch.");
  def_field(bound, "temperature", &Request::temperature, "0: argmax after masks.");
  def_field(bound, "top_k", &Request::top_k, "0: all.");
  def_field(bound, "top_p", &Request::top_p, "Draws among the likeliest that sum to this.");
  def_field(bound, "min_p", &Request::min_p,
            "Draws among those at least this likely, relative to the likeliest.");
  def_field(bound, "repetition_penalty", &Request::repetition_penalty,
            "Divides or multiplies logits of seen ids; 1: none.");
  def_field(bound, "seed", &Request::seed, "Of this request's random numbers.");
  def_field(bound, "max_frames", &Request::max_frames, "Codec frames, of all chunks.");
  def_field(bound, "min_frames", &Request::min_frames,
            "Codec frames of each chunk before which end of speech is impossible.");
  def_field(bound, "use_default_prior", &Request::use_default_prior,
            "True: the checkpoint's prior; false: prior.");
  def_field(bound, "prior", &Request::prior, "If use_default_prior is false: this prior, or none.");
  def_field(bound, "eos_method", &Request::eos_method, "How the end of speech is detected.");
  def_field(bound, "use_local_transformer", &Request::use_local_transformer,
            "False: independent heads.");
  def_field(bound, "maskgit", &Request::maskgit, "How a MaskGit local transformer unmasks.");
  def_field(bound, "block", &Request::block, "How the codes of a block are decided together.");
  def_field(bound, "speculation", &Request::speculation,
            "How ids are guessed and checked together; None: as the executor says.");
  def_field(bound, "tokens", &Request::tokens, "How a language model chooses its tokens.");
  def_field(bound, "shared_prefix", &Request::shared_prefix,
            "Of text_ids, the first so many are computed once for requests that begin with them.");
  def_field(bound, "flow", &Request::flow, "How flow matching makes a spectrogram.");
}

void register_gpu_rows(py::module_& module) {
  py::class_<InputRows> bound(
      module, "GpuRows", "Rows of float32 in the memory of a GPU, where a request reads them.");
  bound.def(py::init([](std::int32_t gpu, std::uintptr_t address, std::int64_t rows,
                        std::int64_t cols, py::object owner) {
              auto data = keep(reinterpret_cast<const float*>(address), std::move(owner));
              return InputRows::on_gpu(gpu, std::move(data), rows, cols);
            }),
            py::arg("gpu"), py::arg("address"), py::arg("rows"), py::arg("cols"), py::arg("owner"),
            "Dense float32 [rows, cols] from an address on, which exist as long as the owner.");
  def_repr(bound);
  bound.def_readonly("gpu", &InputRows::gpu, "The index of the GPU.")
      .def_property_readonly(
          "address",
          [](const InputRows& self) {
            return reinterpret_cast<std::uintptr_t>(self.gpu_data.get());
          },
          "Of the first number.")
      .def_readonly("rows", &InputRows::rows, "Their number.")
      .def_readonly("cols", &InputRows::cols, "Numbers of each.");
}

}  // namespace

void register_requests(py::module_& module) {
  register_gpu_rows(module);
  py::class_<Request> bound(module, "Request", "One utterance, as the library takes it.");
  bound.def(py::init<>(), "Nothing is set but the library's defaults.");
  def_repr(bound);
  def_arrays(bound);
  def_field(bound, "voice", &Request::voice, "A stored voice, by index or name.");
  def_field(bound, "text_history", &Request::text_history,
            "How many ids of the chunks before a later chunk reads again at most; None: 20.");
  def_field(bound, "later_chunks", &Request::later_chunks,
            "How many chunks come by Handle.add_text while the request runs.");
  def_field(bound, "context_text", &Request::context_text,
            "A text that describes the voice, instead of context_text_ids.");
  def_field(bound, "text_voices", &Request::text_voices,
            "The voice of each chunk; None: the context of the request.");
  def_field(bound, "emotion", &Request::emotion, "Instead of the voice's; of Chatterbox T3.");
  def_sampling(bound);
  def_field(bound, "score", &Request::score,
            "Whether ids are scored, and nothing is generated; of language models.");
  def_field(bound, "strict_end", &Request::strict_end,
            "Whether min_frames forbids the end id itself where the checkpoint moved it.");
  def_field(bound, "return_audio", &Request::return_audio, "Whether a spectrogram becomes sound.");
  def_field(bound, "return_spectrogram", &Request::return_spectrogram,
            "Whether the result has the spectrogram.");
  def_field(bound, "audio_start", &Request::audio_start, "The first frame that becomes sound.");
  def_field(bound, "return_alignment", &Request::return_alignment,
            "Whether the result has the alignment.");
  def_field(bound, "return_positions", &Request::return_positions,
            "Whether result and events have text_positions.");
  def_field(bound, "analyze_alignment", &Request::analyze_alignment,
            "Whether the alignment forbids and forces the end of speech; of Chatterbox T3.");
  def_field(bound, "mask_invalid", &Request::mask_invalid,
            "Whether only speech tokens and the end of speech may be drawn; of Chatterbox T3.");
  def_field(bound, "stop_after_equal", &Request::stop_after_equal,
            "So many equal steps in a row end speech; absent: none do.");
  def_field(bound, "chunk_frames", &Request::chunk_frames,
            "Streaming: least number of frames in one event.");
  def_field(bound, "initial_chunk_frames", &Request::initial_chunk_frames,
            "The same of the first event; None: chunk_frames.");
  def_field(bound, "codes_only", &Request::codes_only,
            "Whether the result of a model that has a codec has no audio.");
  def_field(bound, "priority", &Request::priority,
            "Larger values start first, and may pause smaller ones.");
  def_field(bound, "deadline", &Request::deadline, "Seconds from submit.");
  module.def("is_voice_name", &may_name_a_voice, py::arg("name"),
             "Whether a voice may have this name: 1 to 64 letters of any script, digits, _, - and "
             "dots.");
}

}  // namespace ttsrt::python
