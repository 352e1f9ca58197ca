// Products with bfloat16 and float16 inputs on tensor cores (linear_mma.cuh).
#include "cuda/kernels/linear_mma.cuh"

namespace ttsrt::cuda {

void linear_bfloat16(const ProductArgs& args, cudaStream_t stream) {
  launch_product<Format::bfloat16>(args, stream);
}
void linear_float16(const ProductArgs& args, cudaStream_t stream) {
  launch_product<Format::float16>(args, stream);
}
void linear_w8a16(const ProductArgs& args, cudaStream_t stream) {
  launch_product<Format::w8a16>(args, stream);
}
void linear_w4a16(const ProductArgs& args, cudaStream_t stream) {
  launch_product<Format::w4a16>(args, stream);
}

}  // namespace ttsrt::cuda
