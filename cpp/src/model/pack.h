// From rows of floats to the bytes matrix products read (layouts: ops/weight.h).
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/safetensors.h"
#include "ops/weight.h"

namespace ttsrt::model {

// "dense", "panel16", or where quantized "panel16_w8a16" and the like.
std::string layout_name(const ops::Weight& weight);

// Bytes a weight of this type, layout and shape takes.
std::size_t packed_bytes(const ops::Weight& weight);

// Values of a stored float tensor, given its bytes, as float32. Throws FormatError for other types.
std::vector<float> read_floats(const StoredTensor& tensor, const std::vector<std::byte>& bytes);

// Row-major floats [rows, cols] packed as `weight` says (its data is ignored).
std::vector<std::byte> pack(const std::vector<float>& values, const ops::Weight& weight);

}  // namespace ttsrt::model
