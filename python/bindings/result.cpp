// Bindings of the result part of ttsrt/request.h. Arrays are views that keep their result alive;
// nothing is copied.
#include "ttsrt/request.h"
#include "values.h"

namespace ttsrt::python {
namespace {

// A property whose array is a view of memory that `self` owns.
template <typename Class, typename Values>
void def_view(py::class_<Class>& bound, const char* name, Values Class::* field, const char* doc) {
  bound.def_property_readonly(
      name, [field](py::object self) { return view_of(self.cast<const Class&>().*field, self); },
      doc);
}

// The same of Logprobs, which is a part of the result.
template <typename Class, typename Values>
void def_logprobs(py::class_<Class>& bound, const char* name, Values Logprobs::* field,
                  const char* doc) {
  bound.def_property_readonly(
      name,
      [field](py::object self) { return view_of(self.cast<const Class&>().logprobs.*field, self); },
      doc);
}

template <typename Class>
void def_logprobs(py::class_<Class>& bound) {
  def_logprobs(bound, "logprobs", &Logprobs::drawn,
               "Float32 [steps]: of the id that each step drew, if requested.");
  def_logprobs(bound, "top_ids", &Logprobs::top_ids,
               "Int32 [steps, asked]: the likeliest ids of each step.");
  def_logprobs(bound, "top_logprobs", &Logprobs::top, "Float32 [steps, asked]: of these ids.");
  bound.def_readonly("stop_id", &Class::stop_id, "The id that ended the request.");
}

template <typename Class>
const char* finish_reason_of(const Class& self) {
  return name_of(self.finish_reason);
}

void register_events(py::module_& module) {
  py::class_<Event> event(module, "Event", "A part of a result.");
  def_repr(event);
  event
      .def_readonly("first_frame", &Event::first_frame,
                    "Index of the first of these frames in the result.")
      .def_readonly("is_last", &Event::is_last, "Whether the request ends with this event.")
      .def_property_readonly("finish_reason", &finish_reason_of<Event>,
                             "Why the request ended, in the last event.");
  def_view(event, "codes", &Event::codes, "Int32 [new frames, codebooks].");
  def_view(event, "audio", &Event::audio, "New samples, of models that end in sound.");
  def_view(event, "spectrogram", &Event::spectrogram, "New rows of a spectrogram.");
  def_view(event, "text_positions", &Event::text_positions,
           "Int32 [new steps], if they were requested.");
  def_view(event, "chunk_steps", &Event::chunk_steps,
           "Int32: decoder steps of each chunk that has ended since the event before.");
  def_view(event, "chunk_frames", &Event::chunk_frames,
           "Int32: codec frames of each of these chunks.");
  def_logprobs(event);
}

}  // namespace

void register_results(py::module_& module) {
  py::class_<Metrics> metrics(module, "Metrics", "Times of one request, in seconds.");
  def_repr(metrics);
  metrics.def_readonly("queue_seconds", &Metrics::queue_seconds, "Submit until it gets a slot.")
      .def_readonly("first_frame_seconds", &Metrics::first_frame_seconds,
                    "Submit to the first frame.")
      .def_readonly("first_audio_seconds", &Metrics::first_audio_seconds,
                    "Submit to the first samples; 0: there were none.")
      .def_readonly("total_seconds", &Metrics::total_seconds, "Submit to the end.")
      .def_readonly("frames_per_second", &Metrics::frames_per_second, "Frames / total_seconds.")
      .def_readonly("x_real_time", &Metrics::x_real_time,
                    "Seconds of audio per second: frames_per_second / frame rate.")
      .def_readonly("rtf", &Metrics::rtf, "Total_seconds per second of audio; 0 without frames.")
      .def_readonly("steps", &Metrics::steps, "Decoder steps.")
      .def_readonly("speculation", &Metrics::speculation, "Of a request that speculates.");

  py::class_<TraceEntry> entry(module, "TraceEntry", "Values of one stage of one step.");
  def_repr(entry);
  entry
      .def_readonly("name", &TraceEntry::name,
                    "The stage: \"encoder_out\", \"decoder.hidden\" and so on.")
      .def_readonly("step", &TraceEntry::step, "Decoder step; 0 for encoders.");
  def_view(entry, "values", &TraceEntry::values, "Float32 [rows, columns].");

  register_events(module);

  py::class_<Result> result(module, "Result", "Everything that a request made.");
  def_repr(result);
  result
      .def_property_readonly("finish_reason", &finish_reason_of<Result>,
                             "\"stop\", \"length\", \"cancelled\", \"deadline\" or \"error\".")
      .def_readonly("error", &Result::error, "The message if finish_reason is error.")
      .def_readonly("metrics", &Result::metrics, "Times.")
      .def_readonly("sample_rate", &Result::sample_rate,
                    "Of audio, in Hz; 0: the model makes no sound.")
      .def_readonly("trace", &Result::trace, "Values of every stage, with ExecutorOptions.trace.");
  def_view(result, "codes", &Result::codes, "Int32 [frames, codebooks].");
  def_view(result, "alignment", &Result::alignment,
           "Float32 [steps, text_len], if it was requested.");
  def_view(result, "focus", &Result::focus,
           "Int32 [steps]: text position in focus after each step; empty without a prior.");
  def_view(result, "text_positions", &Result::text_positions,
           "Int32 [steps]: the index in text_ids with the largest alignment, if requested.");
  def_view(result, "chunk_steps", &Result::chunk_steps,
           "Int32 [chunks]: decoder steps of each chunk that has begun.");
  def_view(result, "chunk_offsets", &Result::chunk_offsets,
           "Int32 [chunks]: the index in text_ids at which the chunk's window begins.");
  def_view(result, "chunk_frames", &Result::chunk_frames,
           "Int32 [chunks]: codec frames of each of these chunks.");
  def_view(result, "chunk_silences", &Result::chunk_silences,
           "Int32: samples of silence in front of each of these chunks, and behind the last.");
  def_view(result, "nll", &Result::nll,
           "Float32 [ids - 1]: negative logarithms of probabilities, of scored ids.");
  def_view(result, "audio", &Result::audio, "Samples, of models that end in sound.");
  def_view(result, "spectrogram", &Result::spectrogram,
           "Float32 [frames, mel_bins], of models that end in a spectrogram.");
  def_logprobs(result);
}

}  // namespace ttsrt::python
