// An opened engine's insides: the mapped weights by name, the model, the defaults, the stored
// voices.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/safetensors.h"
#include "model/config.h"
#include "model/defaults.h"
#include "model/limits.h"
#include "model/quantize.h"
#include "ops/weight.h"
#include "ttsrt/engine.h"

namespace ttsrt {

struct EngineData {
  explicit EngineData(const std::string& folder);

  // A weight that must be there, of that shape. Throws FormatError.
  ops::Weight weight(const std::string& name, std::int64_t rows, std::int64_t cols) const;

  std::string path;
  std::string description;  // engine.json
  model::ModelConfig config;
  model::RequestDefaults defaults;
  model::Limits limits;
  EngineInfo info;
  std::vector<EngineTensor> tensors;
  std::vector<std::shared_ptr<const std::vector<float>>> voices;  // [num_voices] of [rows * dim]

 private:
  void read_components(const JsonReader& components);
  void read_tensor(const std::string& name, const JsonReader& entry);
  void check_weight(const ops::Weight& planned) const;
  void attach_scales(const ops::Weight& planned);
  void read_voices();
  void check_weights(DType dtype);
  void fill_info(const std::string& family, DType dtype);

  SafetensorsFile file_;
  model::QuantizationPlan quantization_;
  std::map<std::string, ops::Weight> weights_;
};

}  // namespace ttsrt
