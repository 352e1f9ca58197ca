// A plugin with the tensors that a runner binds, called as TensorRT calls it at run time: made from
// fields, stored in a plan, made anew from it, and run on addresses of the device.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/signature.h"
#include "cuda/device_memory.h"
#include "harness.h"

namespace ttsrt::plugins::test {

// Device addresses by the names of ports.
using Addresses = std::map<std::string, const void*>;

inline Field number(std::string name, std::int64_t value) {
  return {std::move(name), Numbers{static_cast<std::int32_t>(value)}};
}

// What the letters of shapes stand for, but for the rows of a launch.
struct Extents {
  std::int64_t slots = 0;
  std::int64_t vectors = 0;
};

// One plugin of a network.
struct PluginCall {
  std::string kind;
  Fields fields;        // of its own
  Addresses addresses;  // of its own tensors
};

class BoundPlugin {
 public:
  // Fields and addresses of all plugins of a network, of which a plugin takes those that it names.
  struct Common {
    const Harness& harness;
    Fields fields;
    Addresses addresses;
    Extents extents;
  };

  // The workspace is taken from `memory`. Throws InternalError with what the plugin reports, or for
  // a tensor without an address.
  BoundPlugin(const PluginCall& call, const Common& common, cuda::DeviceMemory& memory);

  const std::string& kind() const { return kind_; }
  // Throws InternalError with what the plugin reports, unless it takes a launch of so many rows and
  // its outputs have the shapes that are bound.
  void configure(std::int64_t rows) const;
  // The same, and where it returns no success.
  void enqueue(std::int64_t rows, cudaStream_t stream) const;

 private:
  struct Bound {
    Port port;
    void* data = nullptr;
  };
  void bind(const std::vector<Port>& ports, const PluginCall& call, const Common& common,
            std::vector<Bound>& to) const;
  std::vector<Tensor> tensors(const std::vector<Bound>& of, std::int64_t rows) const;

  std::string kind_;
  std::unique_ptr<Plugin> plugin_;
  Extents extents_;
  std::vector<Bound> inputs_;
  std::vector<Bound> outputs_;
  void* workspace_ = nullptr;
};

}  // namespace ttsrt::plugins::test
