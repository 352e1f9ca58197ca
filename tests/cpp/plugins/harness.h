// The two adapters behind one interface, so that every test runs through both.
//
// A harness is what TensorRT is to the plugins: it finds creators, makes plugins from fields,
// stores them in a plan and makes them anew from it, asks for shapes and formats, and runs them. It
// is compiled against tests/cpp/plugins/tensorrt, once for each major version.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "common/fields.h"
#include "common/types.h"

namespace ttsrt::plugins::test {

// A tensor as TensorRT may offer it.
struct Offered {
  Type type = Type::float32;
  bool is_linear = true;
};

// A plugin behind an adapter.
class Plugin {
 public:
  virtual ~Plugin() = default;

  virtual std::string name() const = 0;
  virtual std::string version() const = 0;
  virtual std::string name_space() const = 0;
  virtual std::unique_ptr<Plugin> clone() const = 0;
  // What a plan would store.
  virtual Fields stored() const = 0;
  // The plugin that a plan gives back, in the phase in which it runs; null where it is refused.
  virtual std::unique_ptr<Plugin> from_plan() const = 0;

  virtual std::vector<Type> output_types(std::size_t inputs) const = 0;
  // Empty where the rule fails.
  virtual std::vector<Dims> output_dims(const std::vector<Dims>& inputs) const = 0;
  virtual bool takes(std::int32_t position, const std::vector<Offered>& all,
                     std::size_t inputs) const = 0;
  virtual bool takes_unknown_type(std::size_t inputs, std::size_t outputs) const = 0;
  virtual std::size_t workspace_bytes() const = 0;
  // Tells of a change of shapes, as the range of a profile or, without one, alone; 0 is success.
  // Version 8 can't refuse here and says 0.
  std::int32_t configure(const std::vector<Dims>& inputs) const { return configure(inputs, true); }
  virtual std::int32_t configure(const std::vector<Dims>& inputs, bool has_range) const = 0;
  virtual std::int32_t enqueue(const std::vector<Tensor>& inputs,
                               const std::vector<Tensor>& outputs, void* workspace,
                               cudaStream_t stream) const = 0;
  std::int32_t enqueue(const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs,
                       void* workspace) const {
    return enqueue(inputs, outputs, workspace, nullptr);
  }
};

class Harness {
 public:
  virtual ~Harness() = default;

  virtual const char* name() const = 0;
  virtual bool refuses_shapes_early() const = 0;
  virtual std::vector<std::string> creators() const = 0;
  virtual FieldNames field_names(const std::string& kind) const = 0;
  // Null where the plugin is refused.
  virtual std::unique_ptr<Plugin> make(const std::string& kind, const Fields& fields) const = 0;
  // With one field of a type that no plugin takes.
  virtual std::unique_ptr<Plugin> make_with_half(const std::string& kind,
                                                 const std::string& field) const = 0;
};

const Harness& v2_harness();
const Harness& v3_harness();

}  // namespace ttsrt::plugins::test
