// Fills the table with the kernels of the instruction set for which this file is compiled.

// clang-format off: later families use helpers of earlier ones
#include "cpu/kernels/elementwise_kernels.inl"
#include "cpu/kernels/norm_kernels.inl"
#include "cpu/kernels/linear_kernels.inl"
#include "cpu/kernels/quantized_kernels.inl"
#include "cpu/kernels/attention_kernels.inl"
#include "cpu/kernels/sampling_kernels.inl"
#include "cpu/kernels/conv_kernels.inl"
#include "cpu/kernels/rate_kernels.inl"
#include "cpu/kernels/peak_kernels.inl"
// clang-format on

namespace ttsrt::cpu {
namespace {

static_assert(kQueryRows <= kMostQueryRows);

constexpr Kernels table_of(const char* name) {
  Kernels table = {
      name,
      kPairsBy,
      kBytesBy,
      kTileRows,
      kWideRows,
      kPairWords,
      tile_of,
      panels_for,
      block_rows,
      unpacked_bytes,
      {{prepare_floats, product_kernel<Chain<StepFloat32>>},
       {prepare_pairs, product_kernel<Chain<StepBfloat16>>},
       {prepare_floats, product_kernel<Chain<StepFloat16>>},
       {prepare_pairs, product_kernel<Groups<StepW8A16>>},
       {prepare_pairs, product_kernel<Groups<StepW4A16>>},
       {prepare_bytes<kByteOffset>, product_kernel<Groups<StepW8A8>>},
       {prepare_bytes<8>, product_kernel<Groups<StepW4A8>>},
       {prepare_summed_pairs, product_kernel<Groups<StepW4A16Zeros>>},
       {prepare_bytes<8>, product_kernel<Groups<StepW4A8Zeros>>}},
      interleave_kernel,
      kQueryRows,
      {{attend_kernel<Element::float32>, attend_rows_kernel<Element::float32>,
        store_kernel<Element::float32>},
       {attend_kernel<Element::bfloat16>, attend_rows_kernel<Element::bfloat16>,
        store_kernel<Element::bfloat16>},
       {attend_kernel<Element::float16>, attend_rows_kernel<Element::float16>,
        store_kernel<Element::float16>},
       {attend_kernel<Element::int8>, attend_rows_kernel<Element::int8>, store_int8_kernel}},
      norm_kernel,
      rotate_kernel,
      gate_kernel,
      {mean_rows_kernel<Element::float32>, mean_rows_kernel<Element::bfloat16>,
       mean_rows_kernel<Element::float16>},
      add_kernel,
      is_finite_kernel,
      copy_kernel,
      mix_kernel,
      extrapolate_kernel,
      argmax_kernel,
      kth_largest_kernel,
      survivors_kernel,
      exp_kernel,
      {convolve_kernel<StepFloat32>, convolve_kernel<StepBfloat16>, convolve_kernel<StepFloat16>},
      depthwise_kernel,
      add_products_kernel,
      sum_kernel,
      respond_kernel,
      integrate_kernel,
      {time_convolve_kernel<StepFloat32>, time_convolve_kernel<StepBfloat16>,
       time_convolve_kernel<StepFloat16>},
      half_snake_kernel,
      activate_kernel,
      {kPeakChains, chain_kernel<PeakFloat32>, chain_kernel<PeakBfloat16>, chain_kernel<PeakInt8>,
       read_kernel}};
  table.scores = {score_kernel<Element::float32>, score_rows_kernel<Element::float32>};
  return table;
}

}  // namespace
}  // namespace ttsrt::cpu
