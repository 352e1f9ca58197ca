// Which tensors an engine holds, in which layout, and which checkpoint tensor each comes from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/manifest.h"
#include "model/quantize.h"
#include "ops/weight.h"

namespace ttsrt::model {

struct PackItem {
  TensorSpec source;           // in the checkpoint
  ops::Weight weight;          // name, logical shape; after pack_items type and layout too
  std::int64_t first_row = 0;  // rows taken from the source seen as [*, cols], from this one on
  std::int64_t taps = 1;       // > 1: the source is [rows, cols / taps, taps]; taps come first
};

// Names and logical shapes of an engine's tensors, scales and zero points left out, of a manifest
// whose sizes are filled in.
std::vector<PackItem> list_tensors(const Manifest& manifest);

struct PackOptions {
  DType dtype = DType::float32;     // of tables, and of products that aren't quantized
  QuantizationChoice quantization;  // of products
  // Of products that give logits, where that is another.
  std::optional<QuantizationChoice> heads = std::nullopt;
  // Patterns of fnmatch for the names of products that aren't quantized.
  std::vector<std::string> exclude = {};
};

// The same tensors as a build stores them. Throws ConfigError for a pattern that stands for no
// product, and FormatError for products that the quantization can't hold.
std::vector<PackItem> pack_items(const Manifest& manifest, const PackOptions& options);

// w8a8 adds up whole numbers: beyond this many inputs a sum could overflow.
void check_inputs(const ops::Weight& weight);

}  // namespace ttsrt::model
