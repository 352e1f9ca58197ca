// Bindings of ttsrt::Handle. A wait is divided into slices, between which Python's signal handlers
// run, so that Ctrl-C ends it.
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "interruptible.h"
#include "ttsrt/error.h"
#include "ttsrt/executor.h"
#include "values.h"

namespace ttsrt::python {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// The moment at which a wait ends, if it has one. Throws ConfigError for a wrong timeout as the
// library would, which sees only the slices.
class Deadline {
 public:
  explicit Deadline(std::optional<double> timeout_seconds) {
    if (timeout_seconds)
      end_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(bounded(*timeout_seconds));
  }

  bool has_passed() const { return end_ && Clock::now() >= *end_; }

  // How long to wait before the next check for signals.
  Seconds next_slice() const {
    if (!end_) return kSlice;
    return std::clamp(Seconds(*end_ - Clock::now()), Seconds::zero(), kSlice);
  }

 private:
  // Longer timeouts become a year, on which no clock overflows.
  static Seconds bounded(double seconds) {
    if (!(seconds >= 0.0)) {
      throw ConfigError("timeout: expected seconds of 0 or more, got " +
                        std::string(py::str(py::float_(seconds))));
    }
    return Seconds(std::min(seconds, 3.2e7));
  }

  std::optional<Clock::time_point> end_;
};

// (event or None, whether the wait ended for lack of time).
std::pair<std::optional<Event>, bool> next_event(Handle& self, const py::object& timeout) {
  const Deadline deadline(value_from<std::optional<double>>(timeout, "timeout"));
  while (true) {
    bool timed_out = false;
    std::optional<Event> event;
    {
      const WithoutGil release;
      event = self.next_for(deadline.next_slice(), timed_out);
    }
    if (event || !timed_out) return {std::move(event), false};
    check_signals();
    if (deadline.has_passed()) return {std::nullopt, true};
  }
}

// The result, or None if the time is up.
std::optional<Result> whole_result(Handle& self, const py::object& timeout) {
  const Deadline deadline(value_from<std::optional<double>>(timeout, "timeout"));
  while (true) {
    std::optional<Result> result;
    {
      const WithoutGil release;
      result = self.result(deadline.next_slice().count());
    }
    if (result) return result;
    check_signals();
    if (deadline.has_passed()) return std::nullopt;
  }
}

}  // namespace

void register_handles(py::module_& module) {
  py::class_<Handle>(module, "Handle", "One request in flight.")
      .def("next", &next_event, py::arg("timeout") = py::none(),
           "The next event, or None after the last; and whether the wait ended for lack of time.")
      .def("result", &whole_result, py::arg("timeout") = py::none(),
           "The whole result, or None if the time is up.")
      .def("cancel", &Handle::cancel, py::call_guard<WithoutGil>(),
           "Asks for the end of the request; idempotent.")
      .def(
          "add_text",
          [](Handle& self, const py::object& ids) {
            self.add_text(py::len(ids) == 0 ? std::vector<std::int32_t>()
                                            : vector_from<std::int32_t>(
                                                  array_from<std::int32_t>(ids, 1, "add_text")));
          },
          py::arg("text_ids"), "Gives the ids of the next of the later chunks.")
      .def(
          "fail_text", [](Handle& self, const std::string& why) { self.fail_text(why); },
          py::arg("why"), "Says that the rest of the text can't come.")
      .def_property_readonly("is_done", &Handle::is_done, "Whether the request has ended.")
      .def_property_readonly("id", &Handle::id, "The request's number, unique in its executor.");
}

}  // namespace ttsrt::python
