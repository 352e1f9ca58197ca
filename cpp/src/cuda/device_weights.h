// The weights of all Programs of a backend in device memory, each uploaded once: matrices of
// products in the order of the kernels (fragments.h), tables and vectors as they are.
#pragma once

#include <cstddef>
#include <map>
#include <utility>

#include "cuda/device_memory.h"
#include "cuda/launch_rate.h"
#include "cuda/launch_whole.h"
#include "cuda/views.h"
#include "ops/weight.h"

namespace ttsrt::cuda {

class DeviceWeights {
 public:
  explicit DeviceWeights(DeviceMemory::Mode mode) : memory_(mode) {}

  // An absent weight gives an empty view. The weight's bytes must be there, unless memory is only
  // counted. Throws InternalError for a layout or type that has no kernel.
  ProductWeight product(const ops::Weight& weight);
  TableView table(const ops::Weight& weight);
  // The rows of a narrow product's weight, for kernels that read them by a tensor map.
  NarrowRows matrix(const ops::Weight& weight);
  // The weight of a convolution over time [outputs, kernel * width], as Hopper multiplies it.
  const std::byte* conv(const ops::Weight& weight, const ConvWeightShape& shape);
  const float* vector(const ops::Weight& weight) {  // float32, or none
    return static_cast<const float*>(table(weight).data);
  }

  std::size_t bytes() const { return memory_.bytes(); }

 private:
  const std::byte* upload(const std::byte* data, std::size_t bytes);
  // Uploads what `writer` makes of the weight; null for no bytes.
  const std::byte* write(const ops::Weight& weight, std::size_t bytes,
                         void (*writer)(const ops::Weight&, std::byte*));

  DeviceMemory memory_;
  std::map<const std::byte*, ProductWeight> products_;
  std::map<const std::byte*, NarrowRows> matrices_;
  std::map<std::pair<const std::byte*, std::int32_t>, const std::byte*> convs_;  // and unit
  std::map<const std::byte*, const std::byte*> tables_;
};

}  // namespace ttsrt::cuda
