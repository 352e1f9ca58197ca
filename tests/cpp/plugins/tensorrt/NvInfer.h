// NOT TensorRT. What cpp/src/tensorrt/driver calls of TensorRT's builder, runtime and registry, as
// an interface of this project's own (NvInferRuntime.h says more). Each major version has only what
// it has in TensorRT: types of tensors are said by 8 alone, for example, and typed networks by 10.
#pragma once

#include "NvInferRuntime.h"

#if TTSRT_TEST_TENSORRT == 8
#define NV_TENSORRT_MAJOR 8
#define NV_TENSORRT_MINOR 6
#define NV_TENSORRT_PATCH 0
#define NV_TENSORRT_VERSION 8600
#elif TTSRT_TEST_TENSORRT == 10
#define NV_TENSORRT_MAJOR 10
#define NV_TENSORRT_MINOR 3
#define NV_TENSORRT_PATCH 0
#define NV_TENSORRT_VERSION 100300
#else
#define NV_TENSORRT_MAJOR 11
#define NV_TENSORRT_MINOR 1
#define NV_TENSORRT_PATCH 0
#define NV_TENSORRT_VERSION 110100
#endif

namespace nvinfer1 {
inline namespace TTSRT_TEST_NAMESPACE {

// --- numbers ------------------------------------------------------------------------------------

enum class ActivationType : int32_t { kRELU = 600, kSIGMOID, kTANH, kSOFTPLUS };
enum class UnaryOperation : int32_t { kEXP = 620, kSQRT, kERF };
enum class ElementWiseOperation : int32_t { kSUM = 640, kPROD, kMAX, kMIN, kSUB, kDIV };
enum class ReduceOperation : int32_t { kSUM = 660, kAVG };
enum class MatrixOperation : int32_t { kNONE = 680, kTRANSPOSE };
enum class OptProfileSelector : int32_t { kMIN = 700, kOPT, kMAX };
enum class TensorIOMode : int32_t { kNONE = 720, kINPUT, kOUTPUT };
enum class MemoryPoolType : int32_t { kWORKSPACE = 740 };
enum class TacticSource : int32_t { kCUBLAS = 4, kEDGE_MASK_CONVOLUTIONS, kJIT_CONVOLUTIONS };
#if TTSRT_TEST_TENSORRT == 8
enum class BuilderFlag : int32_t { kFP16 = 760, kTF32, kOBEY_PRECISION_CONSTRAINTS };
enum class PreviewFeature : int32_t { kPROFILE_SHARING_0806 = 780 };
enum class NetworkDefinitionCreationFlag : int32_t { kEXPLICIT_BATCH = 2 };
#elif TTSRT_TEST_TENSORRT == 10
enum class BuilderFlag : int32_t { kFP16 = 770, kTF32 };
enum class NetworkDefinitionCreationFlag : int32_t { kEXPLICIT_BATCH = 2, kSTRONGLY_TYPED };
#else
enum class BuilderFlag : int32_t { kTF32 = 775 };
enum class NetworkDefinitionCreationFlag : int32_t { kSTRONGLY_TYPED = 1 };
#endif
#if TTSRT_TEST_TENSORRT != 8
enum class ExecutionContextAllocationStrategy : int32_t { kSTATIC = 800, kUSER_MANAGED };
#endif

struct Weights {
  DataType type = DataType::kFLOAT;
  const void* values = nullptr;
  int64_t count = 0;
};

// --- plugins ------------------------------------------------------------------------------------

using PluginLibraryHandle = void*;

class IPluginRegistry {
 public:
  virtual ~IPluginRegistry() = default;
  virtual PluginLibraryHandle loadLibrary(const char* path) noexcept = 0;
#if TTSRT_TEST_TENSORRT == 8
  virtual IPluginCreator* getPluginCreator(const char* name, const char* version,
                                           const char* of_namespace) noexcept = 0;
#else
  virtual IPluginCreatorInterface* getCreator(const char* name, const char* version,
                                              const char* of_namespace) noexcept = 0;
#endif
};

// --- networks -----------------------------------------------------------------------------------

class ITensor {
 public:
  virtual ~ITensor() = default;
  virtual void setName(const char* name) noexcept = 0;
  virtual Dims getDimensions() const noexcept = 0;
  virtual DataType getType() const noexcept = 0;
  virtual void setAllowedFormats(uint32_t formats) noexcept = 0;
  virtual void setDimensionName(int32_t index, const char* name) noexcept = 0;
};

class ILayer {
 public:
  virtual ~ILayer() = default;
  virtual void setName(const char* name) noexcept = 0;
  virtual ITensor* getOutput(int32_t index) const noexcept = 0;
  virtual void setInput(int32_t index, ITensor& tensor) noexcept = 0;
#if TTSRT_TEST_TENSORRT == 8
  virtual void setPrecision(DataType type) noexcept = 0;
  virtual void setOutputType(int32_t index, DataType type) noexcept = 0;
#endif
  // Of single kinds of layers, which have them to themselves in TensorRT.
  virtual void set_number(const char* what, float value) noexcept = 0;
  virtual void set_dims(const char* what, const Dims& dims) noexcept = 0;
};

class IActivationLayer : public ILayer {
 public:
  void setAlpha(float value) noexcept { set_number("setAlpha", value); }
  void setBeta(float value) noexcept { set_number("setBeta", value); }
};
class IShuffleLayer : public ILayer {
 public:
  void setReshapeDimensions(const Dims& dims) noexcept { set_dims("setReshapeDimensions", dims); }
};
class ICastLayer : public ILayer {};
class IConstantLayer : public ILayer {};
class IConvolutionLayer : public ILayer {};
class IElementWiseLayer : public ILayer {};
class IIdentityLayer : public ILayer {};
class IMatrixMultiplyLayer : public ILayer {};
class IPluginV2Layer : public ILayer {};
class IPluginV3Layer : public ILayer {};
class IReduceLayer : public ILayer {};
class IShapeLayer : public ILayer {};
class ISliceLayer : public ILayer {};
class IUnaryLayer : public ILayer {};

class INetworkDefinition {
 public:
  virtual ~INetworkDefinition() = default;
  virtual ITensor* addInput(const char* name, DataType type, const Dims& dims) noexcept = 0;
  virtual void markOutput(ITensor& tensor) noexcept = 0;
  virtual IActivationLayer* addActivation(ITensor& input, ActivationType type) noexcept = 0;
  virtual ICastLayer* addCast(ITensor& input, DataType type) noexcept = 0;
  virtual IConstantLayer* addConstant(const Dims& dims, Weights weights) noexcept = 0;
  virtual IConvolutionLayer* addConvolutionNd(ITensor& input, int64_t outputs, const Dims& kernel,
                                              Weights weights, Weights bias) noexcept = 0;
  virtual IElementWiseLayer* addElementWise(ITensor& a, ITensor& b,
                                            ElementWiseOperation operation) noexcept = 0;
  virtual IIdentityLayer* addIdentity(ITensor& input) noexcept = 0;
  virtual IMatrixMultiplyLayer* addMatrixMultiply(ITensor& a, MatrixOperation of_a, ITensor& b,
                                                  MatrixOperation of_b) noexcept = 0;
  virtual IReduceLayer* addReduce(ITensor& input, ReduceOperation operation, uint32_t axes,
                                  bool keeps_dims) noexcept = 0;
  virtual IShapeLayer* addShape(ITensor& input) noexcept = 0;
  virtual IShuffleLayer* addShuffle(ITensor& input) noexcept = 0;
  virtual ISliceLayer* addSlice(ITensor& input, const Dims& start, const Dims& size,
                                const Dims& stride) noexcept = 0;
  virtual IUnaryLayer* addUnary(ITensor& input, UnaryOperation operation) noexcept = 0;
#if TTSRT_TEST_TENSORRT == 8
  virtual IPluginV2Layer* addPluginV2(ITensor* const* inputs, int32_t count,
                                      IPluginV2& plugin) noexcept = 0;
#else
  virtual IPluginV3Layer* addPluginV3(ITensor* const* inputs, int32_t count,
                                      ITensor* const* shape_inputs, int32_t shapes,
                                      IPluginV3& plugin) noexcept = 0;
#endif
};

// --- the builder --------------------------------------------------------------------------------

class IHostMemory {
 public:
  virtual ~IHostMemory() = default;
  virtual void* data() const noexcept = 0;
  virtual size_t size() const noexcept = 0;
};

class ITimingCache {
 public:
  virtual ~ITimingCache() = default;
  virtual IHostMemory* serialize() const noexcept = 0;
};

class IOptimizationProfile {
 public:
  virtual ~IOptimizationProfile() = default;
  virtual bool setDimensions(const char* input, OptProfileSelector which,
                             const Dims& dims) noexcept = 0;
};

class IBuilderConfig {
 public:
  virtual ~IBuilderConfig() = default;
  virtual ITimingCache* createTimingCache(const void* blob, size_t size) const noexcept = 0;
  virtual bool setTimingCache(const ITimingCache& cache, bool ignores_mismatch) noexcept = 0;
  virtual const ITimingCache* getTimingCache() const noexcept = 0;
  virtual int32_t addOptimizationProfile(const IOptimizationProfile* profile) noexcept = 0;
  virtual void clearFlag(BuilderFlag flag) noexcept = 0;
  virtual void setFlag(BuilderFlag flag) noexcept = 0;
  virtual bool setTacticSources(uint32_t sources) noexcept = 0;
  virtual void setMaxAuxStreams(int32_t count) noexcept = 0;
  virtual void setBuilderOptimizationLevel(int32_t level) noexcept = 0;
  virtual void setMemoryPoolLimit(MemoryPoolType pool, size_t bytes) noexcept = 0;
#if TTSRT_TEST_TENSORRT == 8
  virtual void setPreviewFeature(PreviewFeature feature, bool is_on) noexcept = 0;
#endif
};

class IBuilder {
 public:
  virtual ~IBuilder() = default;
  virtual IPluginRegistry& getPluginRegistry() noexcept = 0;
  virtual INetworkDefinition* createNetworkV2(uint32_t flags) noexcept = 0;
  virtual IBuilderConfig* createBuilderConfig() noexcept = 0;
  virtual IOptimizationProfile* createOptimizationProfile() noexcept = 0;
  virtual IHostMemory* buildSerializedNetwork(INetworkDefinition& network,
                                              IBuilderConfig& config) noexcept = 0;
};

// --- the runtime --------------------------------------------------------------------------------

class IProfiler {
 public:
  virtual ~IProfiler() = default;
  virtual void reportLayerTime(const char* name, float milliseconds) noexcept = 0;
};

class IExecutionContext {
 public:
  virtual ~IExecutionContext() = default;
  virtual bool setOptimizationProfileAsync(int32_t index, cudaStream_t stream) noexcept = 0;
#if TTSRT_TEST_TENSORRT == 8
  virtual void setDeviceMemory(void* memory) noexcept = 0;
#else
  virtual void setDeviceMemoryV2(void* memory, int64_t size) noexcept = 0;
#endif
  virtual bool setInputShape(const char* name, const Dims& dims) noexcept = 0;
  virtual bool setTensorAddress(const char* name, void* data) noexcept = 0;
  virtual void setProfiler(IProfiler* profiler) noexcept = 0;
  virtual bool enqueueV3(cudaStream_t stream) noexcept = 0;
};

class ICudaEngine {
 public:
  virtual ~ICudaEngine() = default;
  virtual int32_t getNbIOTensors() const noexcept = 0;
  virtual const char* getIOTensorName(int32_t index) const noexcept = 0;
  virtual Dims getTensorShape(const char* name) const noexcept = 0;
  virtual DataType getTensorDataType(const char* name) const noexcept = 0;
  virtual TensorIOMode getTensorIOMode(const char* name) const noexcept = 0;
#if TTSRT_TEST_TENSORRT == 8
  virtual size_t getDeviceMemorySize() const noexcept = 0;
  virtual IExecutionContext* createExecutionContextWithoutDeviceMemory() noexcept = 0;
#else
  virtual int64_t getDeviceMemorySizeV2() const noexcept = 0;
  virtual IExecutionContext* createExecutionContext(
      ExecutionContextAllocationStrategy strategy) noexcept = 0;
#endif
};

class IRuntime {
 public:
  virtual ~IRuntime() = default;
  virtual IPluginRegistry& getPluginRegistry() noexcept = 0;
  virtual ICudaEngine* deserializeCudaEngine(const void* data, size_t size) noexcept = 0;
};

}  // namespace TTSRT_TEST_NAMESPACE
}  // namespace nvinfer1
