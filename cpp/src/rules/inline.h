// Rules are compiled for the host and, in .cu files, also for the device.
#pragma once

#ifdef __CUDACC__
#define TTSRT_RULE __host__ __device__ inline
#else
#define TTSRT_RULE inline
#endif
