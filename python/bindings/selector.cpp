// Bindings of ttsrt::Selector. select() does not check for signals while it waits: the thread that
// calls it is never Python's main thread, which runs signal handlers.
#include "ttsrt/selector.h"

#include "bindings.h"

namespace ttsrt::python {

void register_selectors(py::module_& module) {
  const auto release = py::call_guard<WithoutGil>();
  py::class_<Selector>(module, "Selector", "Waits for many requests at once.")
      .def(py::init<>())
      .def("add", &Selector::add, py::arg("handle"), py::arg("key"), release,
           "Watches a request under a key.")
      .def("remove", &Selector::remove, py::arg("handle"), release, "Stops watching a request.")
      .def("select", &Selector::select, release,
           "Waits until a watched request has something to take, or for wake(); the keys.")
      .def("wake", &Selector::wake, release, "Ends the wait of select().");
}

}  // namespace ttsrt::python
