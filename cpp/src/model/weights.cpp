#include "model/weights.h"

#include "core/check.h"
#include "model/build_plan.h"
#include "model/pack.h"

namespace ttsrt::model {
namespace {

constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;

}  // namespace

void Weights::read(const JsonReader& components, const Manifest& manifest, DType dtype,
                   const QuantizationPlan& quantization) {
  for (const std::string& component : manifest.components()) {
    if (!components.has(component.c_str())) continue;
    const JsonReader reader = components.object(component.c_str()).object("tensors");
    for (const auto& [name, entry] : components.value(component.c_str()).at("tensors").items())
      read_tensor(name, reader.object(name.c_str()), quantization);
  }
  for (const PackItem& item : plan_engine(manifest, dtype, quantization)) {
    check(item.weight);
    if (item.weight.quantization == ops::Quantization::none) continue;
    weights_.at(item.weight.name).scales = check(scales_of(item.weight)).data;
  }
}

void Weights::read_tensor(const std::string& name, const JsonReader& entry,
                          const QuantizationPlan& quantization) {
  const StoredTensor& stored = file_.at(name);
  ops::Weight weight;
  weight.name = name;
  weight.dtype = stored.dtype;
  weight.rows = entry.integer("rows", 1, kMaxElements);
  weight.cols = entry.integer("cols", 1, kMaxElements / weight.rows);
  const std::string layout = entry.string("layout");
  if (layout != "dense") {
    weight.layout = ops::Layout::panel16;
    weight.quantization = quantization.quantization;
    weight.group_size = quantization.group_size;
  }
  TTSRT_CHECK(FormatError, layout == layout_name(weight), entry.where(),
              ".layout: expected dense or ", layout_name(weight), ", got \"", layout, "\"");
  const std::size_t expected = packed_bytes(weight);
  TTSRT_CHECK(FormatError, stored.bytes == expected, entry.where(), ": expected ", expected,
              " bytes for [", weight.rows, ", ", weight.cols, "] ", layout, ", got ", stored.bytes);
  TTSRT_CHECK(FormatError, reinterpret_cast<std::uintptr_t>(stored.data) % 64 == 0, entry.where(),
              ": its bytes don't start on a 64-byte boundary");
  weight.data = stored.data;
  TTSRT_CHECK(FormatError, weights_.emplace(name, weight).second, entry.where(),
              ": stands in two components");
  tensors_.push_back({name, safetensors_name_of(stored.dtype), stored.shape, layout, stored.bytes,
                      entry.string("sha256")});
}

const ops::Weight& Weights::check(const ops::Weight& planned) const {
  const ops::Weight& stored = at(planned.name);
  TTSRT_CHECK(FormatError, stored.rows == planned.rows && stored.cols == planned.cols, file_.path(),
              ": ", planned.name, ": expected [", planned.rows, ", ", planned.cols, "], got [",
              stored.rows, ", ", stored.cols, "]");
  TTSRT_CHECK(FormatError, stored.dtype == planned.dtype && stored.layout == planned.layout,
              file_.path(), ": ", stored.name, ": expected ", name_of(planned.dtype), " ",
              layout_name(planned), ", got ", name_of(stored.dtype),
              stored.layout == planned.layout ? "" : " in another layout");
  return stored;
}

const ops::Weight& Weights::at(const std::string& name) const {
  const auto found = weights_.find(name);
  TTSRT_CHECK(FormatError, found != weights_.end(), file_.path(), ": ", name, ": missing");
  return found->second;
}

}  // namespace ttsrt::model
