// Bindings of ttsrt::Selector. select() does not check for signals while it waits: the thread that
// calls it is never Python's main thread, which runs signal handlers.
#include "ttsrt/selector.h"

#include "bindings.h"

namespace ttsrt::python {
namespace {

void add(Selector& self, const Handle& handle, std::uint64_t key, bool until_end) {
  self.add(handle, key, until_end ? Watch::end : Watch::events);
}

}  // namespace

void register_selectors(py::module_& module) {
  const auto release = py::call_guard<WithoutGil>();
  py::class_<Selector>(module, "Selector", "Waits for many requests at once.")
      .def(py::init<>(), "Watches nothing yet.")
      .def("add", &add, py::arg("handle"), py::arg("key"), py::arg("until_end") = false, release,
           "Watches a request under a key: for what it has to take, or only for its end.")
      .def("remove", py::overload_cast<const Handle&, std::uint64_t>(&Selector::remove),
           py::arg("handle"), py::arg("key"), release, "Stops watching a request under a key.")
      .def("select", &Selector::select, release,
           "Waits until a watched request has something to take, or for wake(); the keys.")
      .def("wake", &Selector::wake, release, "Ends the wait of select().");
}

}  // namespace ttsrt::python
