// The product Linear: chooses the kernel for a weight's format and how K is cut.
#include "cuda/check.h"
#include "cuda/kernels/linear_products.cuh"
#include "cuda/places.h"

namespace ttsrt::cuda {
namespace {

bool has_whole_inputs(Format format) { return format == Format::w8a8 || format == Format::w4a8; }

std::int64_t inputs_of_scale(const ProductWeight& weight) {
  return weight.group_size > 0 ? weight.group_size : weight.padded_inputs;
}

std::int32_t row_pitch(std::int32_t max_rows) { return ceil_div(max_rows, kColumns) * kColumns; }

// The number of warps that share a tile's inputs: 4, 8 or 16. It is a function of the weight alone,
// as the order of sums depends on it. A warp should have at most 8 loads of weights to wait for,
// and a small weight's warps fewer, so that there are enough of them to fill a device.
std::int32_t slices_of(const ProductWeight& weight, std::int64_t units) {
  constexpr std::int64_t kMostUnits = 8;
  constexpr std::int64_t kEnoughWarps = 1024;
  const std::int64_t tiles = ceil_div<std::int64_t>(weight.outputs, kTile);
  std::int32_t slices = 4;
  while (slices < kMaxSlices &&
         (units > slices * kMostUnits || (tiles * slices < kEnoughWarps && units > slices * 2)))
    slices *= 2;
  return slices;
}

ProductArgs cut(const LinearArgs& args) {
  ProductArgs product;
  product.linear = args;
  const std::int64_t unit = unit_of(args.weight.format);
  const std::int64_t units = args.weight.padded_inputs / unit;
  const std::int32_t slices = slices_of(args.weight, units);
  // Slices are whole groups.
  const std::int64_t step = args.weight.group_size > unit ? args.weight.group_size / unit : 1;
  product.units = static_cast<std::int32_t>(units);
  product.slices = slices;
  while (std::int64_t{1} << product.group_bits < args.weight.group_size) ++product.group_bits;
  product.slice = static_cast<std::int32_t>(ceil_div<std::int64_t>(units, slices * step) * step);
  return product;
}

}  // namespace

WholeInputs place_inputs(const ProductWeight& weight, std::int32_t max_rows, std::byte* scratch) {
  WholeInputs inputs;
  const std::int64_t scales = weight.padded_inputs / inputs_of_scale(weight);
  inputs.row_pitch = row_pitch(max_rows);
  inputs.scaled = reinterpret_cast<WholeInputs::Scaled*>(scratch);
  inputs.q = reinterpret_cast<std::int8_t*>(inputs.scaled + scales * inputs.row_pitch);
  return inputs;
}

std::size_t linear_scratch_bytes(const ProductWeight& weight, std::int32_t max_rows) {
  if (!has_whole_inputs(weight.format)) return 0;
  const std::int64_t scales = weight.padded_inputs / inputs_of_scale(weight);
  const auto row_bytes = static_cast<std::size_t>(weight.padded_inputs) +
                         static_cast<std::size_t>(scales) * sizeof(WholeInputs::Scaled);
  return static_cast<std::size_t>(row_pitch(max_rows)) * row_bytes;
}

bool place_product(const LinearArgs& args, PlaceProduct& out) {
  const ProductWeight& weight = args.weight;
  if (weight.format != Format::bfloat16 || weight.inputs != weight.padded_inputs) return false;
  const ProductArgs product = cut(args);
  if (product.slice > kMostPlaceUnits || product.slices > kPlaceWarps) return false;
  out.data = weight.data;
  out.bias = args.bias;
  out.outputs = static_cast<std::int32_t>(weight.outputs);
  out.units = product.units;
  out.slice = product.slice;
  out.slices = product.slices;
  out.activate = args.activate;
  return args.addend == nullptr;
}

void linear(const LinearArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0 || args.weight.outputs <= 0) return;
  if (args.weight.format == Format::float32) return linear_float32(args, stream);
  ProductArgs product = cut(args);
  if (has_whole_inputs(args.weight.format)) {
    product.inputs = place_inputs(args.weight, args.max_rows, args.scratch);
    quantize_inputs(args, product.inputs, stream);
  }
  switch (args.weight.format) {
    case Format::bfloat16:
      return linear_bfloat16(product, stream);
    case Format::float16:
      return linear_float16(product, stream);
    case Format::w8a16:
      return linear_w8a16(product, stream);
    case Format::w4a16:
      return linear_w4a16(product, stream);
    case Format::w8a8:
      return linear_w8a8(product, stream);
    case Format::w4a8:
      return linear_w4a8(product, stream);
    case Format::float32:
      break;
  }
}

}  // namespace ttsrt::cuda
