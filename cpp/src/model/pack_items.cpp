#include "model/pack_items.h"

#include "core/check.h"

namespace ttsrt::model {
namespace {

void be_product(ops::Weight& weight, DType dtype, const QuantizationChoice& choice) {
  weight.layout = ops::Layout::panel16;
  weight.dtype = dtype;
  if (choice.quantization == ops::Quantization::none) return;
  weight.quantization = choice.quantization;
  weight.group_size = choice.group_size;
  weight.has_zeros = choice.has_zeros;
  weight.dtype = stored_dtype(weight.quantization);
  check_inputs(weight);
}

}  // namespace

void check_inputs(const ops::Weight& weight) {
  TTSRT_CHECK(FormatError,
              weight.quantization != ops::Quantization::w8a8 || weight.cols <= ops::kMaxWholeInputs,
              weight.name, ": w8a8 takes at most ", ops::kMaxWholeInputs, " inputs, got ",
              weight.cols);
}

std::vector<PackItem> list_tensors(const Manifest& manifest) {
  std::vector<PackItem> items;
  for (const TensorSpec& spec : manifest.tensors()) {
    if (spec.role == Role::unused) continue;
    PackItem item;
    item.source = spec;
    item.weight.name = spec.name;
    const std::vector<std::int64_t>& shape = spec.shape;
    if (spec.role == Role::heads) {
      item.weight.rows = shape.at(1);
      item.weight.cols = shape.at(2);
      for (std::int64_t head = 0; head < shape.at(0); ++head) {
        item.weight.name = message(spec.name, ".", head);
        item.first_row = head * shape.at(1);
        items.push_back(item);
      }
      continue;
    }
    if (spec.role == Role::convolution) {
      item.taps = shape.at(2);
      item.weight.rows = shape.at(0);
      item.weight.cols = shape.at(1) * item.taps;
    } else {
      item.weight.rows = 1;
      for (std::size_t i = 0; i + 1 < shape.size(); ++i) item.weight.rows *= shape[i];
      item.weight.cols = shape.back();
    }
    items.push_back(std::move(item));
  }
  return items;
}

std::vector<PackItem> pack_items(const Manifest& manifest, const PackOptions& options) {
  std::vector<PackItem> items = list_tensors(manifest);
  for (PackItem& item : items) {
    const TensorSpec& source = item.source;
    if (is_product(source.role)) {
      const bool has_own = source.is_head && options.heads.has_value();
      const QuantizationChoice& choice = has_own ? *options.heads : options.quantization;
      be_product(item.weight, options.dtype,
                 source.precision == Precision::any ? choice : QuantizationChoice{});
      if (source.precision == Precision::float32) item.weight.dtype = DType::float32;
    } else {
      item.weight.dtype = source.role == Role::table ? options.dtype : source.dtype;
    }
  }
  return items;
}

}  // namespace ttsrt::model
