// The CUDA backend: every Program as kernels on one NVIDIA GPU, captured in graphs.
//
// A flight is queued on one stream at submit() and never waited for before collect(), so that the
// device goes from one flight to the next; what a step feeds to the next stays on the device. Where
// no CUDA is built in, absent.cpp stands here.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ops/backend.h"
#include "ttsrt/device.h"

namespace ttsrt {

// Throws DeviceError, with the reason, if the device `index` can't be used.
std::unique_ptr<ops::Backend> make_cuda_backend(std::int32_t index);

namespace cuda {
class Lowerer;
}

// As above, as device "<name>:<index>", with the steps of a lowerer for Programs that it takes;
// `what` comes in front of the device's description.
std::unique_ptr<ops::Backend> make_lowered_backend(std::int32_t index,
                                                   std::unique_ptr<cuda::Lowerer> lowerer,
                                                   const std::string& name,
                                                   const std::string& what);

// The GPUs of this machine, "cuda:0" and so on; without any, one entry "cuda" with the reason.
std::vector<DeviceInfo> list_cuda_devices();

// The number of GPUs that the driver shows.
std::int32_t num_cuda_devices();

// Whether cuda:0 is there and this build has kernels for it.
bool can_use_cuda();

}  // namespace ttsrt
