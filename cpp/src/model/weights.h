// The weights of an opened engine, by name, checked against the manifest of its family.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/safetensors.h"
#include "model/manifest.h"
#include "model/quantize.h"
#include "ops/weight.h"
#include "ttsrt/engine.h"

namespace ttsrt::model {

class Weights {
 public:
  // Maps the file. Throws FormatError.
  explicit Weights(const std::string& path) : file_(path) {}

  const SafetensorsFile& file() const { return file_; }

  // Reads an engine's "components". Afterwards every tensor of the manifest is there, of the type,
  // layout and shape that a build of this type and quantization gives it: backends read weights
  // without another check. Throws FormatError.
  void read(const JsonReader& components, const Manifest& manifest, DType dtype,
            const QuantizationPlan& quantization);

  // A weight the manifest declares. Throws FormatError where it has none of that name.
  const ops::Weight& at(const std::string& name) const;
  // A tensor of Role::data.
  const StoredTensor& data(const std::string& name) const { return file_.at(name); }
  // In the order of the file.
  const std::vector<EngineTensor>& tensors() const { return tensors_; }

 private:
  void read_tensor(const std::string& name, const JsonReader& entry,
                   const QuantizationPlan& quantization);
  const ops::Weight& check(const ops::Weight& planned) const;

  SafetensorsFile file_;
  std::map<std::string, ops::Weight> weights_;
  std::vector<EngineTensor> tensors_;
};

}  // namespace ttsrt::model
