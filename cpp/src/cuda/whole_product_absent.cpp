// Stands for the kernels of Hopper in builds for other devices.
#include "cuda/launch_rate.h"
#include "cuda/launch_whole.h"
#include "ttsrt/error.h"

namespace ttsrt::cuda {

bool has_whole_products() { return false; }

void whole_product(const WholeProductArgs&, cudaStream_t) {
  throw DeviceError("cuda: this build has no kernels for sm_90a");
}

void whole_conv(const WholeConvArgs&, cudaStream_t) {
  throw DeviceError("cuda: this build has no kernels for sm_90a");
}

bool has_narrow_convs() { return false; }

bool fits_narrow_conv(const NarrowConvArgs&) { return false; }

void narrow_conv(const NarrowConvArgs&, cudaStream_t) {
  throw DeviceError("cuda: this build has no kernels for sm_90a");
}

bool fits_segment_conv(const NarrowConvArgs&) { return false; }

void segment_conv(const NarrowConvArgs&, cudaStream_t) {
  throw DeviceError("cuda: this build has no kernels for sm_90a");
}

void item_attention_of_boxes(const ItemAttentionArgs&, cudaStream_t) {
  throw DeviceError("cuda: this build has no kernels for sm_90a");
}

}  // namespace ttsrt::cuda
