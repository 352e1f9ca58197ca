// The weights of an opened engine, by name, checked against the manifest of its family.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/safetensors.h"
#include "model/manifest.h"
#include "model/weight_memory.h"
#include "ops/weight.h"
#include "ttsrt/engine.h"

namespace ttsrt::model {

class Weights {
 public:
  // Reads the file's header. Throws FormatError.
  explicit Weights(const std::string& path)
      : file_(path), memory_(std::make_shared<WeightMemory>(file_.file())) {}

  const SafetensorsFile& file() const { return file_; }

  // Reads an engine's "components": each tensor has the layout that its own entry says.
  // Afterwards every tensor of the manifest is there, in its shape and in a type and a layout that
  // its role allows, with its scales and zero points: backends read weights without another check.
  // Throws FormatError.
  void read(const JsonReader& components, const Manifest& manifest);

  // Reads the bytes of all weights unless they are here already, and keeps them while the result
  // exists. Throws FormatError if the file has changed since it was opened.
  std::shared_ptr<const void> use() const { return memory_->use(file_.file()); }

  // A weight the manifest declares; its data may be read while weights are in use. Throws
  // FormatError where it has none of that name.
  const ops::Weight& at(const std::string& name) const;
  // A tensor of Role::data.
  const StoredTensor& data(const std::string& name) const { return file_.at(name); }
  // In the order of the file.
  const std::vector<EngineTensor>& tensors() const { return tensors_; }

 private:
  void read_tensor(const std::string& name, const JsonReader& entry);
  void check_role(const TensorSpec& source, const ops::Weight& weight) const;
  // The place of a tensor of that name, type and shape, dense.
  const std::byte* find_dense(const ops::Weight& expected) const;

  SafetensorsFile file_;
  std::shared_ptr<WeightMemory> memory_;
  std::map<std::string, ops::Weight> weights_;
  std::vector<EngineTensor> tensors_;
};

}  // namespace ttsrt::model
