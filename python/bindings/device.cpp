// Bindings of ttsrt/device.h.
#include "ttsrt/device.h"

#include "values.h"

namespace ttsrt::python {

void register_devices(py::module_& module) {
  py::class_<DeviceInfo> bound(module, "DeviceInfo", "A device that can run engines.");
  def_plain(bound);
  bound
      .def_readonly("name", &DeviceInfo::name,
                    "The value for ExecutorOptions.device: \"cpu\", \"reference\".")
      .def_readonly("description", &DeviceInfo::description, "For people: instruction set, cores.")
      .def_readonly("available", &DeviceInfo::available, "Whether an executor can run on it.")
      .def_readonly("reason", &DeviceInfo::reason, "Why the device is unavailable, if it is.");
  module.def("list_devices", &list_devices, py::call_guard<WithoutGil>(),
             "Every device this build knows, available or not.");
  module.def("usable_cores", &usable_cores, py::call_guard<WithoutGil>(),
             "The cores that this process may use, by its affinity and by the quota of its control "
             "groups: the default number of threads.");
  module.def("describe_products", &describe_products, py::arg("dtype"), py::arg("quantization"),
             "How this machine's CPU multiplies matrices of this type.");
}

}  // namespace ttsrt::python
