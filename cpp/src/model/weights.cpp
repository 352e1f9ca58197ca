#include "model/weights.h"

#include <algorithm>
#include <iterator>

#include "core/check.h"
#include "model/pack.h"
#include "model/pack_items.h"
#include "model/quantize.h"

namespace ttsrt::model {
namespace {

using ops::Quantization;

constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;

// "layout", and where it has groups "group_size" and "zero_points".
void read_layout(const JsonReader& entry, ops::Weight& weight) {
  const std::string name = entry.string("layout");
  std::string known = "dense";
  bool is_known = name == known;
  for (const Quantization quantization :
       {Quantization::none, Quantization::w8a16, Quantization::w4a16, Quantization::w8a8,
        Quantization::w4a8}) {
    ops::Weight panel;
    panel.layout = ops::Layout::panel16;
    panel.quantization = quantization;
    known += ", " + layout_name(panel);
    if (name != layout_name(panel)) continue;
    is_known = true;
    weight.layout = ops::Layout::panel16;
    weight.quantization = quantization;
  }
  TTSRT_CHECK(FormatError, is_known, entry.where(), ".layout: expected one of ", known, ", got \"",
              name, "\"");
  if (!ops::has_groups(weight.quantization)) {
    TTSRT_CHECK(FormatError, !entry.has("group_size") && !entry.has("zero_points"), entry.where(),
                ": expected neither group_size nor zero_points, as ", name, " has no groups");
    return;
  }
  weight.group_size = entry.integer("group_size", 1, 1 << 20);
  TTSRT_CHECK(
      FormatError,
      std::count(std::begin(ops::kGroupSizes), std::end(ops::kGroupSizes), weight.group_size) == 1,
      entry.where(), ".group_size: expected 32, 64 or 128, got ", weight.group_size);
  weight.has_zeros = entry.has("zero_points") && entry.boolean("zero_points");
}

bool is_float(DType dtype) {
  return dtype == DType::float32 || dtype == DType::bfloat16 || dtype == DType::float16;
}

}  // namespace

void Weights::read(const JsonReader& components, const Manifest& manifest) {
  for (const std::string& component : manifest.components()) {
    if (!components.has(component.c_str())) continue;
    const JsonReader reader = components.object(component.c_str()).object("tensors");
    for (const auto& [name, entry] : components.value(component.c_str()).at("tensors").items())
      read_tensor(name, reader.object(name.c_str()));
  }
  for (const PackItem& item : list_tensors(manifest)) {
    const ops::Weight& weight = at(item.weight.name);
    TTSRT_CHECK(FormatError, weight.rows == item.weight.rows && weight.cols == item.weight.cols,
                file_.path(), ": ", weight.name, ": expected [", item.weight.rows, ", ",
                item.weight.cols, "], got [", weight.rows, ", ", weight.cols, "]");
    check_role(item.source, weight);
    if (weight.quantization == Quantization::none) continue;
    check_inputs(weight);
    ops::Weight& stored = weights_.at(weight.name);
    stored.scales = find_dense(scales_of(weight));
    if (weight.has_zeros) stored.zeros = find_dense(zeros_of(weight));
  }
}

void Weights::read_tensor(const std::string& name, const JsonReader& entry) {
  const StoredTensor& stored = file_.at(name);
  ops::Weight weight;
  weight.name = name;
  weight.dtype = stored.dtype;
  weight.rows = entry.integer("rows", 1, kMaxElements);
  weight.cols = entry.integer("cols", 1, kMaxElements / weight.rows);
  read_layout(entry, weight);
  const std::size_t expected = packed_bytes(weight);
  TTSRT_CHECK(FormatError, stored.bytes == expected, entry.where(), ": expected ", expected,
              " bytes for [", weight.rows, ", ", weight.cols, "] ", layout_name(weight), ", got ",
              stored.bytes);
  TTSRT_CHECK(FormatError, stored.offset % 64 == 0, entry.where(),
              ": its bytes don't start on a 64-byte boundary");
  weight.data = memory_->data() + stored.offset;
  TTSRT_CHECK(FormatError, weights_.emplace(name, weight).second, entry.where(),
              ": stands in two components");
  tensors_.push_back({name, ttsrt::name_of(stored.dtype), stored.shape, layout_name(weight),
                      stored.bytes, entry.string("sha256")});
}

void Weights::check_role(const TensorSpec& source, const ops::Weight& weight) const {
  const bool is_panel = weight.layout == ops::Layout::panel16;
  TTSRT_CHECK(FormatError, is_panel == is_product(source.role), file_.path(), ": ", weight.name,
              ": expected ", is_product(source.role) ? "panel16" : "dense", " for a ",
              name_of(source.role), ", got ", layout_name(weight));
  const bool is_quantized = weight.quantization != Quantization::none;
  const bool is_free = source.role == Role::table || (is_product(source.role) && !is_quantized);
  if (is_free) {
    TTSRT_CHECK(FormatError, is_float(weight.dtype), file_.path(), ": ", weight.name,
                ": expected float32, bfloat16 or float16, got ", name_of(weight.dtype));
    return;
  }
  const DType expected = is_quantized ? stored_dtype(weight.quantization) : source.dtype;
  TTSRT_CHECK(FormatError, weight.dtype == expected, file_.path(), ": ", weight.name, ": expected ",
              name_of(expected), " for ", layout_name(weight), ", got ", name_of(weight.dtype));
}

const std::byte* Weights::find_dense(const ops::Weight& expected) const {
  const ops::Weight& stored = at(expected.name);
  TTSRT_CHECK(FormatError,
              stored.rows == expected.rows && stored.cols == expected.cols &&
                  stored.dtype == expected.dtype && stored.layout == expected.layout,
              file_.path(), ": ", expected.name, ": expected ", name_of(expected.dtype), " [",
              expected.rows, ", ", expected.cols, "] dense, got ", name_of(stored.dtype), " [",
              stored.rows, ", ", stored.cols, "] ", layout_name(stored));
  return stored.data;
}

const ops::Weight& Weights::at(const std::string& name) const {
  const auto found = weights_.find(name);
  TTSRT_CHECK(FormatError, found != weights_.end(), file_.path(), ": ", name, ": missing");
  return found->second;
}

}  // namespace ttsrt::model
