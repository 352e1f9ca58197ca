// The weights of a manifest as an engine has them, with random values, without a family and a
// build.
#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "core/safetensors_writer.h"
#include "model/manifest.h"
#include "model/pack.h"
#include "model/pack_items.h"
#include "model/weights.h"
#include "support/temp_dir.h"
#include "support/weights.h"

namespace ttsrt::test {

class PackedWeights {
 public:
  // Products have values up to `gain` over the root of their inputs, vectors up to 0.5 around 0.5.
  PackedWeights(const model::Manifest& manifest, DType dtype, float gain) {
    model::PackOptions options;
    options.dtype = dtype;
    std::vector<SafetensorsWriter::Entry> entries;
    std::vector<std::vector<std::byte>> bytes;
    Json tensors = Json::object();
    for (const model::PackItem& item : model::pack_items(manifest, options)) {
      const ops::Weight& weight = item.weight;
      const bool is_product = model::is_product(item.source.role);
      const float scale = is_product ? gain / std::sqrt(static_cast<float>(weight.cols)) : 0.5F;
      const std::vector<float> values =
          random_vector(static_cast<std::size_t>(weight.rows * weight.cols), entries.size(), scale,
                        is_product ? 0.0F : 0.5F);
      const bool is_panel = weight.layout == ops::Layout::panel16;
      entries.push_back({weight.name, weight.dtype,
                         is_panel ? std::vector<std::int64_t>{ops::padded_rows(weight.rows),
                                                              ops::padded_cols(weight)}
                                  : std::vector<std::int64_t>{weight.rows, weight.cols}});
      bytes.push_back(model::pack(values, weight));
      tensors[weight.name] = {{"rows", weight.rows},
                              {"cols", weight.cols},
                              {"layout", model::layout_name(weight)},
                              {"sha256", ""}};
    }
    SafetensorsWriter writer(folder_.file("weights.safetensors"), entries);
    for (const std::vector<std::byte>& each : bytes) writer.write(each.data(), each.size());
    writer.finish();
    weights_ = std::make_unique<model::Weights>(folder_.file("weights.safetensors"));
    Json components;
    for (const std::string& name : manifest.components()) components[name]["tensors"] = tensors;
    weights_->read(JsonReader(components, "components"), manifest);
    use_ = weights_->use();
  }

  const model::Weights& get() const { return *weights_; }

 private:
  TempDir folder_;
  std::unique_ptr<model::Weights> weights_;
  std::shared_ptr<const void> use_;
};

}  // namespace ttsrt::test
