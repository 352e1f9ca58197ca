// NOT TensorRT. An interface header of this project's own, against which the adapters of plugins/
// compile where no TensorRT is installed, so that their tests run everywhere.
//
// It has the names of classes and methods that the adapters use, and nothing else: layouts, virtual
// tables and enumerators differ from TensorRT's, so that a library which is built with it must
// never be loaded by TensorRT. TTSRT_TEST_TENSORRT is the major version whose interface it has: 8
// has 32-bit dims and plugins of version 2, 10 and 11 have 64-bit dims and plugins of version 3.
// The namespaces keep them apart in one test program. NvInfer.h has what the driver of device
// "tensorrt" calls.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#if TTSRT_TEST_TENSORRT == 8
#define TTSRT_TEST_NAMESPACE test8
#elif TTSRT_TEST_TENSORRT == 10
#define TTSRT_TEST_NAMESPACE test10
#else
#define TTSRT_TEST_NAMESPACE test11
#endif

namespace nvinfer1 {
inline namespace TTSRT_TEST_NAMESPACE {

// --- plain values -------------------------------------------------------------------------------

enum class DataType : int32_t { kFLOAT = 100, kHALF, kINT8, kINT32, kBOOL, kBF16, kINT64 };
enum class TensorFormat : int32_t { kLINEAR = 20, kCHW32 };
enum class PluginFieldType : int32_t { kINT32 = 300, kFLOAT32, kFLOAT16, kCHAR, kUNKNOWN };

#if TTSRT_TEST_TENSORRT == 8
using Extent = int32_t;
#else
using Extent = int64_t;
#endif

struct Dims {
  static constexpr int32_t MAX_DIMS = 8;
  int32_t nbDims = 0;
  Extent d[MAX_DIMS] = {};
};

struct PluginTensorDesc {
  Dims dims;
  DataType type = DataType::kFLOAT;
  TensorFormat format = TensorFormat::kLINEAR;
};

struct DynamicPluginTensorDesc {
  PluginTensorDesc desc;
  Dims min;
  Dims max;
};

struct PluginField {
  PluginField(const char* of = nullptr, const void* values = nullptr,
              PluginFieldType kind = PluginFieldType::kUNKNOWN, int32_t count = 0)
      : name(of), data(values), type(kind), length(count) {}
  const char* name;
  const void* data;
  PluginFieldType type;
  int32_t length;
};

struct PluginFieldCollection {
  int32_t nbFields = 0;
  const PluginField* fields = nullptr;
};

// --- what TensorRT implements -------------------------------------------------------------------

class IDimensionExpr {
 public:
  virtual ~IDimensionExpr() = default;
  virtual Extent getConstantValue() const noexcept = 0;
};

class IExprBuilder {
 public:
  virtual ~IExprBuilder() = default;
  virtual const IDimensionExpr* constant(Extent value) noexcept = 0;
};

struct DimsExprs {
  int32_t nbDims = 0;
  const IDimensionExpr* d[Dims::MAX_DIMS] = {};
};

class ILogger {
 public:
  enum class Severity : int32_t { kINTERNAL_ERROR, kERROR, kWARNING, kINFO, kVERBOSE };
  virtual ~ILogger() = default;
  virtual void log(Severity severity, const char* message) noexcept = 0;
};

class ILoggerFinder {
 public:
  virtual ~ILoggerFinder() = default;
  virtual ILogger* findLogger() = 0;
};

#if TTSRT_TEST_TENSORRT == 8

// --- plugins of version 2 -----------------------------------------------------------------------

class IPluginV2 {
 public:
  virtual ~IPluginV2() = default;
  virtual const char* getPluginType() const noexcept = 0;
  virtual const char* getPluginVersion() const noexcept = 0;
  virtual int32_t getNbOutputs() const noexcept = 0;
  virtual int32_t initialize() noexcept = 0;
  virtual void terminate() noexcept = 0;
  virtual size_t getSerializationSize() const noexcept = 0;
  virtual void serialize(void* buffer) const noexcept = 0;
  virtual void destroy() noexcept = 0;
  virtual void setPluginNamespace(const char* name) noexcept = 0;
  virtual const char* getPluginNamespace() const noexcept = 0;
};

class IPluginV2DynamicExt : public IPluginV2 {
 public:
  virtual IPluginV2DynamicExt* clone() const noexcept = 0;
  virtual DimsExprs getOutputDimensions(int32_t output, const DimsExprs* in, int32_t inputs,
                                        IExprBuilder& builder) noexcept = 0;
  virtual bool supportsFormatCombination(int32_t position, const PluginTensorDesc* in_out,
                                         int32_t inputs, int32_t outputs) noexcept = 0;
  virtual void configurePlugin(const DynamicPluginTensorDesc* in, int32_t inputs,
                               const DynamicPluginTensorDesc* out, int32_t outputs) noexcept = 0;
  virtual size_t getWorkspaceSize(const PluginTensorDesc* in, int32_t inputs,
                                  const PluginTensorDesc* out, int32_t outputs) const noexcept = 0;
  virtual int32_t enqueue(const PluginTensorDesc* in, const PluginTensorDesc* out,
                          const void* const* inputs, void* const* outputs, void* workspace,
                          cudaStream_t stream) noexcept = 0;
  virtual DataType getOutputDataType(int32_t output, const DataType* input_types,
                                     int32_t inputs) const noexcept = 0;
};

class IPluginCreator {
 public:
  virtual ~IPluginCreator() = default;
  virtual const char* getPluginName() const noexcept = 0;
  virtual const char* getPluginVersion() const noexcept = 0;
  virtual const PluginFieldCollection* getFieldNames() noexcept = 0;
  virtual IPluginV2* createPlugin(const char* name,
                                  const PluginFieldCollection* fields) noexcept = 0;
  virtual IPluginV2* deserializePlugin(const char* name, const void* data,
                                       size_t size) noexcept = 0;
  virtual void setPluginNamespace(const char* name) noexcept = 0;
  virtual const char* getPluginNamespace() const noexcept = 0;
};

#else

// --- plugins of version 3 -----------------------------------------------------------------------

enum class TensorRTPhase : int32_t { kBUILD = 400, kRUNTIME };
enum class PluginCapabilityType : int32_t { kCORE = 500, kBUILD, kRUNTIME };

class IGpuAllocator;

class IPluginResourceContext {
 public:
  virtual ~IPluginResourceContext() = default;
};

class IPluginCapability {
 public:
  virtual ~IPluginCapability() = default;
};

class IPluginV3 {
 public:
  virtual ~IPluginV3() = default;
  virtual IPluginCapability* getCapabilityInterface(PluginCapabilityType type) noexcept = 0;
  virtual IPluginV3* clone() noexcept = 0;
};

class IPluginV3OneCore : public IPluginCapability {
 public:
  virtual const char* getPluginName() const noexcept = 0;
  virtual const char* getPluginVersion() const noexcept = 0;
  virtual const char* getPluginNamespace() const noexcept = 0;
};

namespace v_1_0 {
class IPluginV3OneBuild : public IPluginCapability {
 public:
  virtual int32_t configurePlugin(const DynamicPluginTensorDesc* in, int32_t inputs,
                                  const DynamicPluginTensorDesc* out, int32_t outputs) noexcept = 0;
  virtual int32_t getOutputDataTypes(DataType* types, int32_t outputs, const DataType* input_types,
                                     int32_t inputs) const noexcept = 0;
  virtual int32_t getOutputShapes(const DimsExprs* in, int32_t inputs, const DimsExprs* shape_in,
                                  int32_t shape_inputs, DimsExprs* out, int32_t outputs,
                                  IExprBuilder& builder) noexcept = 0;
  virtual bool supportsFormatCombination(int32_t position, const DynamicPluginTensorDesc* in_out,
                                         int32_t inputs, int32_t outputs) noexcept = 0;
  virtual int32_t getNbOutputs() const noexcept = 0;
  virtual size_t getWorkspaceSize(const DynamicPluginTensorDesc*, int32_t,
                                  const DynamicPluginTensorDesc*, int32_t) const noexcept {
    return 0;
  }
};
}  // namespace v_1_0

class IPluginV3OneRuntime : public IPluginCapability {
 public:
  virtual int32_t onShapeChange(const PluginTensorDesc* in, int32_t inputs,
                                const PluginTensorDesc* out, int32_t outputs) noexcept = 0;
  virtual int32_t enqueue(const PluginTensorDesc* in, const PluginTensorDesc* out,
                          const void* const* inputs, void* const* outputs, void* workspace,
                          cudaStream_t stream) noexcept = 0;
  virtual IPluginV3* attachToContext(IPluginResourceContext* context) noexcept = 0;
  virtual const PluginFieldCollection* getFieldsToSerialize() noexcept = 0;
};

class IPluginCreatorInterface {
 public:
  virtual ~IPluginCreatorInterface() = default;
};

class IPluginCreatorV3One : public IPluginCreatorInterface {
 public:
  virtual IPluginV3* createPlugin(const char* name, const PluginFieldCollection* fields,
                                  TensorRTPhase phase) noexcept = 0;
  virtual const PluginFieldCollection* getFieldNames() noexcept = 0;
  virtual const char* getPluginName() const noexcept = 0;
  virtual const char* getPluginVersion() const noexcept = 0;
  virtual const char* getPluginNamespace() const noexcept = 0;
};

#endif

}  // namespace TTSRT_TEST_NAMESPACE
}  // namespace nvinfer1
