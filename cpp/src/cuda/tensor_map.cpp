#include "cuda/tensor_map.h"

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstring>
#include <string>

#include "cuda/check.h"

namespace ttsrt::cuda {
namespace {

using Encode = decltype(&cuTensorMapEncodeTiled);

// The driver's function, which the library doesn't link.
Encode find_encode() {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result = {};
  check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault,
                                         &result),
        "cudaGetDriverEntryPoint");
  if (result != cudaDriverEntryPointSuccess || found == nullptr)
    throw DeviceError("cuda: the driver has no cuTensorMapEncodeTiled; expected one for CUDA 12");
  return reinterpret_cast<Encode>(found);
}

}  // namespace

TensorMap map_matrix(const NarrowRows& matrix, std::int64_t rows, std::int64_t cols,
                     std::int32_t box_rows) {
  constexpr cuuint32_t kBoxColumns = 64;
  TensorMap map;
  static_assert(sizeof(map.words) == sizeof(CUtensorMap));
  static_assert(alignof(TensorMap) >= alignof(CUtensorMap));
  if (matrix.data == nullptr) return map;
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(cols), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(matrix.stride) * 2};
  const cuuint32_t box[] = {kBoxColumns, static_cast<cuuint32_t>(box_rows)};
  const cuuint32_t steps[] = {1, 1};
  CUtensorMap encoded = {};
  const CUresult error =
      find_encode()(&encoded,
                    matrix.element == Element::float16 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16
                                                       : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
                    2, matrix.data, sizes, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
                    CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                    CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (error != CUDA_SUCCESS) {
    throw DeviceError("cuda: cuTensorMapEncodeTiled of [" + std::to_string(rows) + ", " +
                      std::to_string(cols) + "]: error " + std::to_string(error));
  }
  std::memcpy(map.words, &encoded, sizeof(map.words));
  return map;
}

}  // namespace ttsrt::cuda
