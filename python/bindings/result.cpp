// Bindings of the result part of ttsrt/request.h. Arrays are views that keep their result alive;
// nothing is copied.
#include "bindings.h"
#include "ttsrt/request.h"

namespace ttsrt::python {
namespace {

// A property whose array is a view of memory that `self` owns.
template <typename Class, typename Values>
void def_view(py::class_<Class>& bound, const char* name, Values Class::* field) {
  bound.def_property_readonly(
      name, [field](py::object self) { return view_of(self.cast<const Class&>().*field, self); });
}

template <typename Class>
const char* finish_reason_of(const Class& self) {
  return name_of(self.finish_reason);
}

}  // namespace

void register_results(py::module_& module) {
  py::class_<Metrics>(module, "Metrics", "Times of one request, in seconds.")
      .def_readonly("queue_seconds", &Metrics::queue_seconds)
      .def_readonly("first_frame_seconds", &Metrics::first_frame_seconds)
      .def_readonly("total_seconds", &Metrics::total_seconds)
      .def_readonly("frames_per_second", &Metrics::frames_per_second)
      .def_readonly("x_real_time", &Metrics::x_real_time)
      .def_readonly("rtf", &Metrics::rtf)
      .def_readonly("steps", &Metrics::steps);

  py::class_<TraceEntry> entry(module, "TraceEntry", "Values of one stage of one step.");
  entry.def_readonly("name", &TraceEntry::name).def_readonly("step", &TraceEntry::step);
  def_view(entry, "values", &TraceEntry::values);

  py::class_<Event> event(module, "Event", "A part of a result.");
  event.def_readonly("first_frame", &Event::first_frame)
      .def_readonly("is_last", &Event::is_last)
      .def_property_readonly("finish_reason", &finish_reason_of<Event>);
  def_view(event, "codes", &Event::codes);

  py::class_<Result> result(module, "Result", "Everything that a request made.");
  result.def_property_readonly("finish_reason", &finish_reason_of<Result>)
      .def_readonly("error", &Result::error)
      .def_readonly("metrics", &Result::metrics)
      .def_readonly("sample_rate", &Result::sample_rate)
      .def_readonly("trace", &Result::trace);
  def_view(result, "codes", &Result::codes);
  def_view(result, "alignment", &Result::alignment);
  def_view(result, "focus", &Result::focus);
  def_view(result, "audio", &Result::audio);
}

}  // namespace ttsrt::python
