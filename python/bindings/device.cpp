// Bindings of ttsrt/device.h.
#include "ttsrt/device.h"

#include "bindings.h"

namespace ttsrt::python {

void register_devices(py::module_& module) {
  py::class_<DeviceInfo>(module, "DeviceInfo", "A device that can run engines.")
      .def_readonly("name", &DeviceInfo::name)
      .def_readonly("description", &DeviceInfo::description)
      .def_readonly("available", &DeviceInfo::available)
      .def_readonly("reason", &DeviceInfo::reason)
      .def("__repr__", [](const DeviceInfo& info) {
        return py::str("DeviceInfo(name={!r}, description={!r}, available={!r}, reason={!r})")
            .format(info.name, info.description, info.available, info.reason);
      });
  module.def("list_devices", &list_devices, py::call_guard<WithoutGil>(),
             "Every device this build knows, available or not.");
  module.def("usable_cores", &usable_cores, py::call_guard<WithoutGil>(),
             "The cores that this process may use, by its affinity and by the quota of its control "
             "groups: the default number of threads.");
  module.def("describe_products", &describe_products, py::arg("dtype"), py::arg("quantization"),
             "How this machine's CPU multiplies matrices of this type.");
}

}  // namespace ttsrt::python
