// Bindings of the request part of ttsrt/request.h. Arrays are copied, because a request owns its
// values.
#include "ttsrt/request.h"

#include "bindings.h"

namespace ttsrt::python {
namespace {

template <typename T>
using Array = py::array_t<T, py::array::c_style>;

template <typename T>
void def_matrix(py::class_<Request>& bound, const char* name, Matrix<T> Request::* field) {
  bound.def_property(
      name, [field](py::object self) { return view_of(self.cast<const Request&>().*field, self); },
      [field](Request& self, const Array<T>& array) { self.*field = matrix_from<T>(array); });
}

void def_ids(py::class_<Request>& bound, const char* name,
             std::vector<std::int32_t> Request::* field) {
  bound.def_property(
      name, [field](py::object self) { return view_of(self.cast<const Request&>().*field, self); },
      [field](Request& self, const Array<std::int32_t>& array) {
        self.*field = vector_from<std::int32_t>(array);
      });
}

}  // namespace

void register_requests(py::module_& module) {
  py::class_<Request> bound(module, "Request", "One utterance, as the library takes it.");
  bound.def(py::init<>());
  def_ids(bound, "text_ids", &Request::text_ids);
  def_matrix(bound, "text_features", &Request::text_features);
  def_matrix(bound, "encoder_output", &Request::encoder_output);
  def_matrix(bound, "context_codes", &Request::context_codes);
  def_matrix(bound, "context_embeddings", &Request::context_embeddings);
  def_ids(bound, "context_text_ids", &Request::context_text_ids);
  def_matrix(bound, "forced_codes", &Request::forced_codes);
  bound.def_readwrite("voice", &Request::voice)
      .def_readwrite("cfg_scale", &Request::cfg_scale)
      .def_readwrite("temperature", &Request::temperature)
      .def_readwrite("top_k", &Request::top_k)
      .def_readwrite("top_p", &Request::top_p)
      .def_readwrite("min_p", &Request::min_p)
      .def_readwrite("repetition_penalty", &Request::repetition_penalty)
      .def_readwrite("seed", &Request::seed)
      .def_readwrite("max_frames", &Request::max_frames)
      .def_readwrite("min_frames", &Request::min_frames)
      .def_readwrite("use_default_prior", &Request::use_default_prior)
      .def_readwrite("prior", &Request::prior)
      .def_readwrite("eos_method", &Request::eos_method)
      .def_readwrite("use_local_transformer", &Request::use_local_transformer)
      .def_readwrite("maskgit", &Request::maskgit)
      .def_readwrite("strict_end", &Request::strict_end)
      .def_readwrite("return_alignment", &Request::return_alignment)
      .def_readwrite("chunk_frames", &Request::chunk_frames)
      .def_readwrite("priority", &Request::priority)
      .def_readwrite("deadline", &Request::deadline);
}

}  // namespace ttsrt::python
