// A library that stands for TensorRT's in the tests of the driver: it has the functions by which
// the driver is let in, builds plans that say a number, runs nothing, and tells what was called.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "fake_network.h"
#include "fake_state.h"

namespace ttsrt::tensorrt::fake {
namespace {

constexpr char kPlan[] = "plan ";

class Memory final : public nvinfer1::IHostMemory, Counted {
 public:
  explicit Memory(std::string bytes) : bytes_(std::move(bytes)) {}
  void* data() const noexcept override { return const_cast<char*>(bytes_.data()); }
  std::size_t size() const noexcept override { return bytes_.size(); }

 private:
  std::string bytes_;
};

// --- plugins ------------------------------------------------------------------------------------

#if TTSRT_TEST_TENSORRT == 8
class FakePlugin final : public nvinfer1::IPluginV2, Counted {
 public:
  explicit FakePlugin(std::string type) : type_(std::move(type)) {}
  const char* getPluginType() const noexcept override { return type_.c_str(); }
  const char* getPluginVersion() const noexcept override { return "1"; }
  std::int32_t getNbOutputs() const noexcept override { return 1; }
  std::int32_t initialize() noexcept override { return 0; }
  void terminate() noexcept override {}
  std::size_t getSerializationSize() const noexcept override { return 0; }
  void serialize(void*) const noexcept override {}
  void destroy() noexcept override { delete this; }
  void setPluginNamespace(const char*) noexcept override {}
  const char* getPluginNamespace() const noexcept override { return "ttsrt_rt"; }

 private:
  std::string type_;
};
using Creator = nvinfer1::IPluginCreator;
#else
class FakePlugin final : public nvinfer1::IPluginV3, Counted {
 public:
  explicit FakePlugin(const std::string&) {}
  nvinfer1::IPluginCapability* getCapabilityInterface(
      nvinfer1::PluginCapabilityType) noexcept override {
    return nullptr;
  }
  nvinfer1::IPluginV3* clone() noexcept override { return nullptr; }
};
using Creator = nvinfer1::IPluginCreatorV3One;
#endif

std::string fields_text(const nvinfer1::PluginFieldCollection& fields) {
  std::string text;
  for (std::int32_t i = 0; i < fields.nbFields; ++i) {
    const nvinfer1::PluginField& field = fields.fields[i];
    text += std::string(i == 0 ? "" : " ") + field.name + "=";
    for (std::int32_t k = 0; k < field.length; ++k) {
      const bool is_real = field.type == nvinfer1::PluginFieldType::kFLOAT32;
      text += (k == 0 ? "" : ",") +
              (is_real ? std::to_string(static_cast<const float*>(field.data)[k])
                       : std::to_string(static_cast<const std::int32_t*>(field.data)[k]));
    }
  }
  return text;
}

class FakeCreator final : public Creator {
 public:
  FakePlugin* make(const char* name, const nvinfer1::PluginFieldCollection* fields) {
    return call("createPlugin", std::string(name) + " " + fields_text(*fields))
               ? new FakePlugin(name)
               : nullptr;
  }
  const char* getPluginName() const noexcept override { return "any"; }
  const char* getPluginVersion() const noexcept override { return "1"; }
  const char* getPluginNamespace() const noexcept override { return "ttsrt_rt"; }
  const nvinfer1::PluginFieldCollection* getFieldNames() noexcept override { return nullptr; }
#if TTSRT_TEST_TENSORRT == 8
  nvinfer1::IPluginV2* createPlugin(const char* name,
                                    const nvinfer1::PluginFieldCollection* of) noexcept override {
    return make(name, of);
  }
  nvinfer1::IPluginV2* deserializePlugin(const char*, const void*, std::size_t) noexcept override {
    return nullptr;
  }
  void setPluginNamespace(const char*) noexcept override {}
#else
  nvinfer1::IPluginV3* createPlugin(const char* name, const nvinfer1::PluginFieldCollection* of,
                                    nvinfer1::TensorRTPhase phase) noexcept override {
    return phase == nvinfer1::TensorRTPhase::kBUILD ? make(name, of) : nullptr;
  }
#endif
};

class Registry final : public nvinfer1::IPluginRegistry {
 public:
  explicit Registry(const char* name) : name_(name) {}
  nvinfer1::PluginLibraryHandle loadLibrary(const char* path) noexcept override {
    const char* name = std::strrchr(path, '/');
    const std::string what = name_ + " " + (name == nullptr ? path : name + 1);
    return call("loadLibrary", what) && call(name_ + ".loadLibrary") ? this : nullptr;
  }
#if TTSRT_TEST_TENSORRT == 8
  Creator* getPluginCreator(const char* name, const char* version,
                            const char* space) noexcept override {
#else
  nvinfer1::IPluginCreatorInterface* getCreator(const char* name, const char* version,
                                                const char* space) noexcept override {
#endif
    return call("getCreator", std::string(space) + " " + name + " " + version) ? &creator_
                                                                               : nullptr;
  }

 private:
  std::string name_;
  FakeCreator creator_;
};

// --- the builder --------------------------------------------------------------------------------

class Timings final : public nvinfer1::ITimingCache, Counted {
 public:
  explicit Timings(std::string bytes) : bytes_(std::move(bytes)) {}
  nvinfer1::IHostMemory* serialize() const noexcept override {
    return call("serialize") ? new Memory(bytes_ + "+") : nullptr;
  }

 private:
  std::string bytes_;
};

class Profile final : public nvinfer1::IOptimizationProfile {
 public:
  bool setDimensions(const char* input, nvinfer1::OptProfileSelector which,
                     const Dims& dims) noexcept override {
    const auto index = static_cast<std::int32_t>(which) -
                       static_cast<std::int32_t>(nvinfer1::OptProfileSelector::kMIN);
    return call("setDimensions",
                std::string(input) + " " + std::to_string(index) + " " + text_of(dims));
  }
};

class Config final : public nvinfer1::IBuilderConfig, Counted {
 public:
  nvinfer1::ITimingCache* createTimingCache(const void* blob,
                                            std::size_t size) const noexcept override {
    const std::string bytes(static_cast<const char*>(blob), blob == nullptr ? 0 : size);
    const bool is_known = bytes.empty() || bytes.rfind("times", 0) == 0;
    return call("createTimingCache", bytes) && is_known
               ? new Timings(bytes.empty() ? "times" : bytes)
               : nullptr;
  }
  bool setTimingCache(const nvinfer1::ITimingCache& cache, bool ignores) noexcept override {
    cache_ = &cache;
    return call("setTimingCache", ignores ? "of any device" : "");
  }
  const nvinfer1::ITimingCache* getTimingCache() const noexcept override { return cache_; }
  std::int32_t addOptimizationProfile(const nvinfer1::IOptimizationProfile*) noexcept override {
    return call("addOptimizationProfile") ? 0 : -1;
  }
  void clearFlag(nvinfer1::BuilderFlag flag) noexcept override { call("clearFlag", name_of(flag)); }
  void setFlag(nvinfer1::BuilderFlag flag) noexcept override { call("setFlag", name_of(flag)); }
  bool setTacticSources(std::uint32_t sources) noexcept override {
    return call("setTacticSources", std::to_string(sources));
  }
  void setMaxAuxStreams(std::int32_t count) noexcept override {
    call("setMaxAuxStreams", std::to_string(count));
  }
  void setBuilderOptimizationLevel(std::int32_t level) noexcept override {
    call("setBuilderOptimizationLevel", std::to_string(level));
  }
  void setMemoryPoolLimit(nvinfer1::MemoryPoolType, std::size_t bytes) noexcept override {
    call("setMemoryPoolLimit", std::to_string(bytes));
  }
#if TTSRT_TEST_TENSORRT == 8
  void setPreviewFeature(nvinfer1::PreviewFeature, bool is_on) noexcept override {
    call("setPreviewFeature", is_on ? "kPROFILE_SHARING_0806" : "");
  }
#endif

 private:
  static const char* name_of(nvinfer1::BuilderFlag flag) {
    if (flag == nvinfer1::BuilderFlag::kTF32) return "kTF32";
#if TTSRT_TEST_TENSORRT == 8
    if (flag == nvinfer1::BuilderFlag::kFP16) return "kFP16";
#endif
    return "kOBEY_PRECISION_CONSTRAINTS";
  }

  const nvinfer1::ITimingCache* cache_ = nullptr;
};

class Builder final : public nvinfer1::IBuilder, Counted {
 public:
  nvinfer1::IPluginRegistry& getPluginRegistry() noexcept override { return registry_; }
  nvinfer1::INetworkDefinition* createNetworkV2(std::uint32_t flags) noexcept override {
    return call("createNetworkV2", std::to_string(flags)) ? new FakeNetwork : nullptr;
  }
  nvinfer1::IBuilderConfig* createBuilderConfig() noexcept override {
    return call("createBuilderConfig") ? new Config : nullptr;
  }
  nvinfer1::IOptimizationProfile* createOptimizationProfile() noexcept override {
    if (!call("createOptimizationProfile")) return nullptr;
    profiles_.push_back(std::make_unique<Profile>());
    return profiles_.back().get();
  }
  nvinfer1::IHostMemory* buildSerializedNetwork(nvinfer1::INetworkDefinition& network,
                                                nvinfer1::IBuilderConfig&) noexcept override {
    if (!call("buildSerializedNetwork")) return nullptr;
    state().built.push_back(static_cast<FakeNetwork&>(network).built());
    return new Memory(kPlan + std::to_string(state().built.size() - 1));
  }

 private:
  Registry registry_{"builder"};
  std::vector<std::unique_ptr<Profile>> profiles_;
};

// --- the runtime --------------------------------------------------------------------------------

class ExecutionContext final : public nvinfer1::IExecutionContext, Counted {
 public:
  bool setOptimizationProfileAsync(std::int32_t index, cudaStream_t) noexcept override {
    return call("setOptimizationProfileAsync", std::to_string(index));
  }
#if TTSRT_TEST_TENSORRT == 8
  void setDeviceMemory(void* memory) noexcept override {
    call("setDeviceMemory", std::to_string(reinterpret_cast<std::uintptr_t>(memory)));
  }
#else
  void setDeviceMemoryV2(void* memory, std::int64_t size) noexcept override {
    call("setDeviceMemory",
         std::to_string(reinterpret_cast<std::uintptr_t>(memory)) + " of " + std::to_string(size));
  }
#endif
  bool setInputShape(const char* name, const Dims& dims) noexcept override {
    return call("setInputShape", std::string(name) + " " + text_of(dims));
  }
  bool setTensorAddress(const char* name, void* data) noexcept override {
    return call("setTensorAddress",
                std::string(name) + " " + std::to_string(reinterpret_cast<std::uintptr_t>(data)));
  }
  void setProfiler(nvinfer1::IProfiler* profiler) noexcept override { profiler_ = profiler; }
  bool enqueueV3(cudaStream_t) noexcept override {
    if (!call("enqueueV3")) return false;
    if (profiler_ == nullptr) return true;
    profiler_->reportLayerTime("first", 2.0F);
    profiler_->reportLayerTime("second", 0.5F);
    return true;
  }

 private:
  nvinfer1::IProfiler* profiler_ = nullptr;
};

class Engine final : public nvinfer1::ICudaEngine, Counted {
 public:
  explicit Engine(BuiltNetwork network) : network_(std::move(network)) {}

  std::int32_t getNbIOTensors() const noexcept override {
    return static_cast<std::int32_t>(network_.size());
  }
  const char* getIOTensorName(std::int32_t index) const noexcept override {
    return network_[static_cast<std::size_t>(index)].name.c_str();
  }
  Dims getTensorShape(const char* name) const noexcept override { return find(name).dims; }
  DataType getTensorDataType(const char* name) const noexcept override { return find(name).type; }
  nvinfer1::TensorIOMode getTensorIOMode(const char* name) const noexcept override {
    return find(name).is_input ? nvinfer1::TensorIOMode::kINPUT : nvinfer1::TensorIOMode::kOUTPUT;
  }
#if TTSRT_TEST_TENSORRT == 8
  std::size_t getDeviceMemorySize() const noexcept override { return kScratch; }
  nvinfer1::IExecutionContext* createExecutionContextWithoutDeviceMemory() noexcept override {
    return call("createExecutionContext") ? new ExecutionContext : nullptr;
  }
#else
  std::int64_t getDeviceMemorySizeV2() const noexcept override { return kScratch; }
  nvinfer1::IExecutionContext* createExecutionContext(
      nvinfer1::ExecutionContextAllocationStrategy strategy) noexcept override {
    const bool is_ours = strategy == nvinfer1::ExecutionContextAllocationStrategy::kUSER_MANAGED;
    return call("createExecutionContext") && is_ours ? new ExecutionContext : nullptr;
  }
#endif

 private:
  static constexpr std::int64_t kScratch = 4096;

  const BuiltTensor& find(const char* name) const {
    static const BuiltTensor none;
    const auto found = std::find_if(network_.begin(), network_.end(),
                                    [name](const BuiltTensor& of) { return of.name == name; });
    return found == network_.end() ? none : *found;
  }

  BuiltNetwork network_;
};

class Runtime final : public nvinfer1::IRuntime, Counted {
 public:
  nvinfer1::IPluginRegistry& getPluginRegistry() noexcept override { return registry_; }
  nvinfer1::ICudaEngine* deserializeCudaEngine(const void* data,
                                               std::size_t size) noexcept override {
    const std::string plan(static_cast<const char*>(data), size);
    unsigned index = 0;
    if (!call("deserializeCudaEngine", plan)) return nullptr;
    if (std::sscanf(plan.c_str(), "plan %u", &index) != 1 || index >= state().built.size())
      return nullptr;
    return new Engine(state().built[index]);
  }

 private:
  Registry registry_{"runtime"};
};

template <class Interface, class Made>
void* make(const char* name, void* logger, std::int32_t version) {
  if (state().logger == nullptr) state().logger = static_cast<nvinfer1::ILogger*>(logger);
  Interface* made = call(name, std::to_string(version)) ? new Made : nullptr;
  return made;
}

}  // namespace
}  // namespace ttsrt::tensorrt::fake

#define TTSRT_FAKE_API extern "C" __attribute__((visibility("default")))
using namespace ttsrt::tensorrt::fake;

TTSRT_FAKE_API std::int32_t getInferLibVersion() { return state().version; }
TTSRT_FAKE_API void* createInferBuilder_INTERNAL(void* logger, std::int32_t version) {
  return make<nvinfer1::IBuilder, Builder>("createInferBuilder_INTERNAL", logger, version);
}
TTSRT_FAKE_API void* createInferRuntime_INTERNAL(void* logger, std::int32_t version) {
  return make<nvinfer1::IRuntime, Runtime>("createInferRuntime_INTERNAL", logger, version);
}
TTSRT_FAKE_API void* getPluginRegistry() {
  static Registry registry("process");
  return static_cast<nvinfer1::IPluginRegistry*>(&registry);
}

// Forgets all calls; from now on, the call of that name fails.
TTSRT_FAKE_API void fake_reset(const char* fails_at, std::int32_t version) {
  state().calls.clear();
  state().fails_at = fails_at;
  state().version = version == 0 ? NV_TENSORRT_VERSION : version;
}
TTSRT_FAKE_API const char* fake_calls() { return state().calls.c_str(); }
TTSRT_FAKE_API std::int32_t fake_alive() { return state().alive; }
