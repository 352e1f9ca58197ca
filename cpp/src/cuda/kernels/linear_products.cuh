// What the files of the product Linear share: how work is cut, and the launchers of each part.
#pragma once

#include "cuda/device.cuh"

namespace ttsrt::cuda {

constexpr int kColumns = 8;     // rows of x that one product on tensor cores takes
constexpr int kMaxSlices = 16;  // of K; as many warps has a block at most
// So many thread blocks leave work for all multiprocessors where each has several tiles.
constexpr std::int64_t kEnoughBlocks = 96;

// Inputs that became int8: q [max_rows, padded_inputs], and for each group (w8: one) and row a
// scale and, as int32, the sum of q: [groups, row_pitch].
struct WholeInputs {
  struct Scaled {
    float scale;
    std::int32_t sum;
  };
  std::int8_t* q = nullptr;
  Scaled* scaled = nullptr;
  std::int32_t row_pitch = 0;
};

struct ProductArgs {
  LinearArgs linear;
  WholeInputs inputs;           // for weights with int8 inputs
  std::int32_t units = 0;       // fragments of a tile, 16 bytes per lane
  std::int32_t slice = 0;       // fragments of a warp
  std::int32_t group_bits = 0;  // w4: the group's size is 1 << group_bits
  std::int32_t slices = 0;      // warps of a block
};

WholeInputs place_inputs(const ProductWeight& weight, std::int32_t max_rows, std::byte* scratch);
void quantize_inputs(const LinearArgs& args, const WholeInputs& out, cudaStream_t stream);

void linear_float32(const LinearArgs& args, cudaStream_t stream);
void linear_bfloat16(const ProductArgs& args, cudaStream_t stream);
void linear_float16(const ProductArgs& args, cudaStream_t stream);
void linear_w8a16(const ProductArgs& args, cudaStream_t stream);
void linear_w4a16(const ProductArgs& args, cudaStream_t stream);
void linear_w8a8(const ProductArgs& args, cudaStream_t stream);
void linear_w4a8(const ProductArgs& args, cudaStream_t stream);

// What a product is added to: the values of the addend and, if the product accumulates, of out.
struct Residual {
  float addend = 0.0F;
  float before = 0.0F;
};

__device__ inline Residual load_residual(const LinearArgs& args, std::int64_t row,
                                         std::int64_t output) {
  Residual residual;
  if (output >= args.weight.outputs) return residual;
  const std::int64_t at = row * args.out_stride + output;
  if (args.addend != nullptr) residual.addend = args.addend[at];
  if (args.accumulates) residual.before = args.out[at];
  return residual;
}

// The end of a product: value = activate(sum + bias) + addend; out = value or out += value. No step
// is fused with another, which a compiler might do in one kernel and not in another.
__device__ inline float finished(const LinearArgs& args, float sum, float bias,
                                 const Residual& residual) {
  float value = activated(args.activate, __fadd_rn(sum, bias));
  if (args.addend != nullptr) value = __fadd_rn(value, residual.addend);
  return args.accumulates ? __fadd_rn(residual.before, value) : value;
}

}  // namespace ttsrt::cuda
