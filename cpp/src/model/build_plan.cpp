#include "model/build_plan.h"

#include "core/check.h"

namespace ttsrt::model {
namespace {

void be_dense(ops::Weight& weight, const std::vector<std::int64_t>& shape, DType dtype) {
  weight.dtype = dtype;
  weight.cols = shape.back();
  weight.rows = 1;
  for (std::size_t i = 0; i + 1 < shape.size(); ++i) weight.rows *= shape[i];
}

void be_product(ops::Weight& weight, std::int64_t rows, std::int64_t cols, DType dtype,
                const QuantizationPlan& quantization) {
  TTSRT_CHECK(FormatError,
              quantization.quantization != ops::Quantization::w8a8 || cols <= ops::kMaxWholeInputs,
              weight.name, ": w8a8 takes at most ", ops::kMaxWholeInputs, " inputs, got ", cols);
  weight.layout = ops::Layout::panel16;
  weight.quantization = quantization.quantization;
  weight.group_size = quantization.group_size;
  const bool is_quantized = quantization.quantization != ops::Quantization::none;
  weight.dtype = is_quantized ? stored_dtype(quantization.quantization) : dtype;
  weight.rows = rows;
  weight.cols = cols;
}

}  // namespace

std::vector<PackItem> plan_engine(const Manifest& manifest, DType dtype,
                                  const QuantizationPlan& quantization) {
  std::vector<PackItem> items;
  for (const TensorSpec& spec : manifest.tensors()) {
    PackItem item;
    item.source = spec;
    item.weight.name = spec.name;
    const std::vector<std::int64_t>& shape = spec.shape;
    if (!is_product(spec.role)) {
      const DType dense = spec.role == Role::table ? dtype : spec.dtype;
      be_dense(item.weight, shape, dense);
      items.push_back(std::move(item));
      continue;
    }
    if (spec.role != Role::heads) {
      item.taps = spec.role == Role::convolution ? shape.at(2) : 1;
      be_product(item.weight, shape.at(0), shape.at(1) * item.taps, dtype, quantization);
      items.push_back(std::move(item));
      continue;
    }
    for (std::int64_t head = 0; head < shape.at(0); ++head) {
      item.weight.name = message(spec.name, ".", head);
      item.first_row = head * shape.at(1);
      be_product(item.weight, shape.at(1), shape.at(2), dtype, quantization);
      items.push_back(item);
    }
  }
  return items;
}

}  // namespace ttsrt::model
