#include "cuda/device_weights.h"

#include <cuda_runtime_api.h>

#include <vector>

#include "core/check.h"
#include "cuda/check.h"
#include "cuda/conv_weights.h"
#include "cuda/device_slots.h"
#include "cuda/fragments.h"

namespace ttsrt::cuda {

const std::byte* DeviceWeights::upload(const std::byte* data, std::size_t bytes) {
  std::byte* at = memory_.take_bytes_of(bytes, "weights");
  if (!memory_.counts_only())
    check(cudaMemcpy(at, data, bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
  return at;
}

const std::byte* DeviceWeights::write(const ops::Weight& weight, std::size_t bytes,
                                      void (*writer)(const ops::Weight&, std::byte*)) {
  if (bytes == 0) return nullptr;
  std::vector<std::byte> made(memory_.counts_only() ? 0 : bytes);
  if (!made.empty()) writer(weight, made.data());
  return upload(made.data(), bytes);
}

ProductWeight DeviceWeights::product(const ops::Weight& weight) {
  if (!weight.is_present()) return {};
  const auto known = products_.find(weight.data);
  if (known != products_.end()) return known->second;
  TTSRT_CHECK(InternalError, weight.layout == ops::Layout::panel16, weight.name,
              ": expected a matrix in panels");
  ProductWeight product = product_weight(weight);
  product.data = write(weight, fragment_bytes(weight), write_fragments);
  product.scales = write(weight, scale_bytes(weight), write_scales);
  product.zeros =
      reinterpret_cast<const std::uint8_t*>(write(weight, zero_bytes(weight), write_zeros));
  products_.emplace(weight.data, product);
  return product;
}

NarrowRows DeviceWeights::matrix(const ops::Weight& weight) {
  const auto known = matrices_.find(weight.data);
  if (known != matrices_.end()) return known->second;
  NarrowRows rows;
  rows.element = element_of(weight.dtype);
  rows.stride = matrix_stride(weight);
  rows.data = const_cast<std::byte*>(write(weight, matrix_bytes(weight), write_matrix));
  matrices_.emplace(weight.data, rows);
  return rows;
}

const std::byte* DeviceWeights::conv(const ops::Weight& weight, const ConvWeightShape& shape) {
  const auto known = convs_.find({weight.data, shape.unit});
  if (known != convs_.end()) return known->second;
  const std::size_t bytes = conv_weight_bytes(shape);
  std::vector<std::byte> made(memory_.counts_only() ? 0 : bytes);
  if (!made.empty()) write_conv_weights(weight, shape, made.data());
  const std::byte* data = upload(made.data(), bytes);
  convs_.emplace(std::pair{weight.data, shape.unit}, data);
  return data;
}

TableView DeviceWeights::table(const ops::Weight& weight) {
  if (!weight.is_present()) return {};
  TTSRT_CHECK(InternalError, weight.layout == ops::Layout::dense, weight.name,
              ": expected a dense table");
  TableView view;
  view.element = element_of(weight.dtype);
  view.rows = weight.rows;
  view.cols = weight.cols;
  const auto bytes = static_cast<std::size_t>(weight.rows * weight.cols) * size_of(weight.dtype);
  const auto known = tables_.find(weight.data);
  view.data = known != tables_.end() ? known->second : upload(weight.data, bytes);
  if (known == tables_.end())
    tables_.emplace(weight.data, static_cast<const std::byte*>(view.data));
  return view;
}

}  // namespace ttsrt::cuda
