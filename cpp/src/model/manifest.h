// Every tensor of a model, declared once: its name, its shape and what it is for. Converting,
// packing, checking and loading all read this list.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/safetensors.h"
#include "ttsrt/tensor.h"

namespace ttsrt::model {

// What a tensor is for decides how an engine stores it.
enum class Role : std::int32_t {
  table,        // rows looked up by an id: dense, in the type of the build
  vector,       // norms, biases, learned positions: dense float32 whatever the build's type
  matrix,       // [outputs, inputs] of a product
  convolution,  // [outputs, channels, taps]: a product whose inputs are the channels of every tap
  transposed,   // [inputs, outputs, taps] of a transposed convolution with a rate: a product whose
                // outputs are those of `rate` rows, and whose inputs are those of the rows around
  heads,        // [heads, outputs, inputs]: a product each, stored as NAME.0, NAME.1, ...
  data,         // no Program reads it: stored as it is
  unused,       // of checkpoints only: the configuration leaves out the layer it belongs to
};

// "table", "vector", ...
const char* name_of(Role role);
constexpr bool is_product(Role role) {
  return role == Role::matrix || role == Role::convolution || role == Role::transposed ||
         role == Role::heads;
}

// How narrow a build may store a product.
enum class Precision : std::int32_t {
  any,      // in the build's type, or quantized
  floats,   // in the build's type, never quantized
  float32,  // whatever the build's type
};

constexpr std::int64_t kAnySize = -1;  // a size that the configuration doesn't fix

struct TensorSpec {
  std::string component;  // "decoder", ...: the part of the model it belongs to
  std::string name;       // in a checkpoint
  Role role = Role::vector;
  std::vector<std::int64_t> shape;  // in a checkpoint
  DType dtype = DType::float32;     // of data; the others are floats of any kind there
  bool is_head = false;             // a product that gives logits: it may stay wide
  Precision precision = Precision::any;
  std::int64_t rate = 1;  // of a transposed convolution and its bias, which stands there so often
};

class Manifest {
 public:
  // The component of the tensors that are added next.
  void begin(const std::string& component) { component_ = component; }
  void add(Role role, const std::string& name, std::vector<std::int64_t> shape,
           Precision precision = Precision::any);
  // A transposed convolution [inputs, outputs, taps] by a rate, of (taps - rate) / 2 samples of
  // padding, which are whole, and its bias [outputs], NAME_bias.
  void add_transposed(const std::string& name, std::vector<std::int64_t> shape, std::int64_t rate,
                      Precision precision);
  // Products that give logits aren't quantized unless a build asks for it.
  void keep_heads_wide() { keeps_heads_wide_ = true; }
  bool keeps_heads_wide() const { return keeps_heads_wide_; }
  // A matrix [outputs, inputs] or several [heads, outputs, inputs] that give logits.
  void add_head(const std::string& name, std::vector<std::int64_t> shape);
  void add_data(const std::string& name, std::vector<std::int64_t> shape, DType dtype);

  const std::vector<TensorSpec>& tensors() const { return tensors_; }
  // Null where there is none of that name.
  const TensorSpec* find(const std::string& name) const;
  // In the order of their first tensors.
  std::vector<std::string> components() const;

  // Gives every size that is kAnySize the one the file has. Throws FormatError where that tensor is
  // missing, has other sizes elsewhere, or is empty.
  void fill_sizes(const SafetensorsFile& file);
  // Throws FormatError for the first tensor a checkpoint lacks or has in another shape or type.
  void check(const SafetensorsFile& checkpoint) const;

 private:
  bool keeps_heads_wide_ = false;
  std::string component_;
  std::vector<TensorSpec> tensors_;
};

}  // namespace ttsrt::model
