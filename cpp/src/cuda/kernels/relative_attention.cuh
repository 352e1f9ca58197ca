// What the files of attention that knows distances share.
#pragma once

#include "cuda/launch_relative.h"

namespace ttsrt::cuda {

// Launched by relative_attention(): heads of 32 or 64 dimensions in bfloat16 or float16.
void narrow_relative_attention(const RelativeArgs& args, cudaStream_t stream);

}  // namespace ttsrt::cuda
