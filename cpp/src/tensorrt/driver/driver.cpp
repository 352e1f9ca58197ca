// A Driver over the C++ API of TensorRT. Nothing of TensorRT is linked: its library was opened by
// who opens this one, and is called by the addresses of its three functions.
#include "tensorrt/driver.h"

#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <stdexcept>

#include "tensorrt/driver/logger.h"
#include "tensorrt/driver/network.h"
#include "tensorrt/driver/registry.h"

namespace ttsrt::tensorrt {
namespace {

using Make = void* (*)(void* logger, std::int32_t version);

// Layers' times, which TensorRT reports behind each launch.
class Times final : public nvinfer1::IProfiler {
 public:
  void reportLayerTime(const char* name, float milliseconds) noexcept override {
    const std::lock_guard<std::mutex> lock(mutex_);
    try {
      const auto [found, is_new] = known_.emplace(name, times_.size());
      if (is_new) times_.push_back({name, 0, 0.0});
      LayerTime& time = times_[found->second];
      ++time.runs;
      time.seconds += 1e-3 * static_cast<double>(milliseconds);
    } catch (...) {  // no memory for another name
      return;
    }
  }
  std::vector<LayerTime> get() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return times_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::size_t> known_;
  std::vector<LayerTime> times_;
};

class OurContext final : public Context {
 public:
  OurContext(nvinfer1::ICudaEngine& engine, const ContextSettings& settings, Logger& logger)
      : logger_(logger), context_(make(engine)) {
    expect(context_ != nullptr, "TensorRT made no context");
    auto* stream = static_cast<cudaStream_t>(settings.stream);
    expect(context_->setOptimizationProfileAsync(settings.profile_index, stream), "the profile");
    set_memory(engine, settings.memory);
    for (const auto& [name, address] : settings.addresses)
      set_tensor(engine, name, address, settings);
    if (!settings.keeps_times) return;
    times_ = std::make_unique<Times>();
    context_->setProfiler(times_.get());
  }

  void enqueue(void* stream) override {
    expect(context_->enqueueV3(static_cast<cudaStream_t>(stream)), "a launch");
  }

  std::vector<LayerTime> times() const override {
    return times_ == nullptr ? std::vector<LayerTime>() : times_->get();
  }

 private:
  static nvinfer1::IExecutionContext* make(nvinfer1::ICudaEngine& engine) {
#if NV_TENSORRT_MAJOR < 10
    return engine.createExecutionContextWithoutDeviceMemory();
#else
    return engine.createExecutionContext(
        nvinfer1::ExecutionContextAllocationStrategy::kUSER_MANAGED);
#endif
  }

  void set_memory(nvinfer1::ICudaEngine& engine, void* memory) {
#if NV_TENSORRT_MAJOR < 10
    if (engine.getDeviceMemorySize() > 0) context_->setDeviceMemory(memory);
#else
    context_->setDeviceMemoryV2(memory, engine.getDeviceMemorySizeV2());
#endif
  }

  void set_tensor(nvinfer1::ICudaEngine& engine, const std::string& name, void* address,
                  const ContextSettings& settings) {
    nvinfer1::Dims dims = engine.getTensorShape(name.c_str());
    const bool has_rows = dims.nbDims > 0 && dims.d[0] < 0;
    if (has_rows && engine.getTensorIOMode(name.c_str()) == nvinfer1::TensorIOMode::kINPUT) {
      dims.d[0] = settings.rows;
      expect(context_->setInputShape(name.c_str(), dims), "the shape of " + name);
    }
    expect(context_->setTensorAddress(name.c_str(), address), "the address of " + name);
  }

  void expect(bool condition, const std::string& what) const {
    if (!condition)
      throw std::runtime_error("TensorRT refuses " + what + ": " + logger_.take_errors());
  }

  Logger& logger_;
  std::unique_ptr<Times> times_;  // outlives the context
  std::unique_ptr<nvinfer1::IExecutionContext> context_;
};

class OurPlan final : public Plan {
 public:
  OurPlan(std::unique_ptr<nvinfer1::ICudaEngine> engine, Logger& logger)
      : engine_(std::move(engine)), logger_(logger) {}

  std::size_t memory_bytes() const override {
#if NV_TENSORRT_MAJOR < 10
    return engine_->getDeviceMemorySize();
#else
    return static_cast<std::size_t>(engine_->getDeviceMemorySizeV2());
#endif
  }

  std::vector<BoundTensor> tensors() const override {
    std::vector<BoundTensor> all;
    for (std::int32_t i = 0; i < engine_->getNbIOTensors(); ++i) {
      const char* name = engine_->getIOTensorName(i);
      const nvinfer1::Dims dims = engine_->getTensorShape(name);
      BoundTensor& tensor = all.emplace_back();
      tensor.name = name;
      tensor.dims.assign(dims.d, dims.d + dims.nbDims);
      tensor.is_input = engine_->getTensorIOMode(name) == nvinfer1::TensorIOMode::kINPUT;
      for (const Type type : {Type::int32, Type::float32, Type::float16}) {
        if (engine_->getTensorDataType(name) == their_type(type)) tensor.type = type;
      }
    }
    return all;
  }

  std::unique_ptr<Context> make_context(const ContextSettings& settings) override {
    return std::make_unique<OurContext>(*engine_, settings, logger_);
  }

 private:
  std::unique_ptr<nvinfer1::ICudaEngine> engine_;
  Logger& logger_;
};

// TensorRT keeps the first logger that the process gives it, even after its owner has destroyed it.
// So all drivers of this library share one logger, which is never destroyed.
Logger& lasting_logger() {
  static auto* const logger = new Logger;
  return *logger;
}

class OurDriver final : public Driver {
 public:
  explicit OurDriver(const DriverRequest& request)
      : request_(request), plugins_(request.plugins == nullptr ? "" : request.plugins) {
    const auto version = reinterpret_cast<std::int32_t (*)()>(find("getInferLibVersion"))();
    version_ = check_version(version);
  }

  std::string version() const override { return version_; }
  void set_timing_cache(const std::vector<std::byte>& bytes) override { timings_ = bytes; }
  std::vector<std::byte> timing_cache() const override { return timings_; }

  std::vector<std::byte> build(const BuildSettings& settings,
                               const std::function<void(NetworkWriter&)>& write) override {
    nvinfer1::IBuilder* builder = open_builder();
    nvinfer1::IPluginRegistry& registry = builder->getPluginRegistry();
#if NV_TENSORRT_MAJOR < 10
    using nvinfer1::NetworkDefinitionCreationFlag;
    constexpr auto kFlags =
        1U << static_cast<std::uint32_t>(NetworkDefinitionCreationFlag::kEXPLICIT_BATCH);
#elif NV_TENSORRT_MAJOR < 11
    using nvinfer1::NetworkDefinitionCreationFlag;
    constexpr auto kFlags =
        1U << static_cast<std::uint32_t>(NetworkDefinitionCreationFlag::kSTRONGLY_TYPED);
#else
    constexpr std::uint32_t kFlags = 0;  // all networks are strongly typed
#endif
    const std::unique_ptr<nvinfer1::INetworkDefinition> network(builder->createNetworkV2(kFlags));
    const std::unique_ptr<nvinfer1::IBuilderConfig> config(builder->createBuilderConfig());
    expect(network != nullptr && config != nullptr, "a network");
    std::vector<nvinfer1::IOptimizationProfile*> profiles;  // which the builder owns
    for (std::size_t i = 0; i < settings.ranges.size(); ++i) {
      profiles.push_back(builder->createOptimizationProfile());
      expect(profiles.back() != nullptr, "a profile");
    }
    configure(*config, settings);
    std::unique_ptr<nvinfer1::ITimingCache> cache(
        config->createTimingCache(timings_.data(), timings_.size()));
    if (cache == nullptr) cache.reset(config->createTimingCache(nullptr, 0));
    if (cache != nullptr) config->setTimingCache(*cache, true);
    Network writer(*network, registry, profiles, settings, logger_);
    write(writer);
    for (const nvinfer1::IOptimizationProfile* profile : profiles)
      expect(config->addOptimizationProfile(profile) >= 0, "the profile of the rows");
    const std::unique_ptr<nvinfer1::IHostMemory> plan(
        builder->buildSerializedNetwork(*network, *config));
    expect(plan != nullptr, "the network");
    keep_timings(config->getTimingCache());
    return copy_of(*plan);
  }

  std::unique_ptr<Plan> load(const void* data, std::size_t bytes) override {
    if (runtime_ == nullptr) {
      runtime_ = make<nvinfer1::IRuntime>("createInferRuntime_INTERNAL");
      load_plugins(runtime_->getPluginRegistry(), process_registry(), plugins_);
    }
    std::unique_ptr<nvinfer1::ICudaEngine> engine(runtime_->deserializeCudaEngine(data, bytes));
    expect(engine != nullptr, "the plan");
    return std::make_unique<OurPlan>(std::move(engine), logger_);
  }

 private:
  void* find(const char* name) const {
    void* function = request_.find(request_.library, name);
    if (function == nullptr)
      throw std::runtime_error(std::string("the library of TensorRT has no ") + name);
    return function;
  }

  // One for all builds: it takes long to make.
  nvinfer1::IBuilder* open_builder() {
    if (builder_ != nullptr) return builder_.get();
    auto builder = make<nvinfer1::IBuilder>("createInferBuilder_INTERNAL");
    load_plugins(builder->getPluginRegistry(), process_registry(), plugins_);
    builder_ = std::move(builder);
    return builder_.get();
  }

  nvinfer1::IPluginRegistry* process_registry() const {
    return reinterpret_cast<nvinfer1::IPluginRegistry* (*)()>(find("getPluginRegistry"))();
  }

  template <class T>
  std::unique_ptr<T> make(const char* name) {
    void* made = reinterpret_cast<Make>(find(name))(&logger_, NV_TENSORRT_VERSION);
    expect(made != nullptr, std::string("what ") + name + " makes");
    return std::unique_ptr<T>(static_cast<T*>(made));
  }

  void expect(bool condition, const std::string& what) {
    if (!condition)
      throw std::runtime_error("TensorRT refuses " + what + ": " + logger_.take_errors());
  }

  // Tables of the C++ API are those of one major version, and of 8 those of one patch.
  static std::string check_version(std::int32_t got) {
    const std::int32_t scale = got < 10000 ? 1000 : 10000;  // 8600 is 8.6.0, 100300 is 10.3.0
    const std::int32_t major = got / scale;
    const std::int32_t minor = got % scale / 100;
    const std::string text =
        std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(got % 100);
    const bool is_ours = NV_TENSORRT_MAJOR < 10
                             ? got == NV_TENSORRT_VERSION
                             : major == NV_TENSORRT_MAJOR && got >= NV_TENSORRT_VERSION;
    if (is_ours) return text;
    throw std::runtime_error(
        "expected TensorRT " + std::to_string(NV_TENSORRT_MAJOR) + "." +
        std::to_string(NV_TENSORRT_MINOR) + "." + std::to_string(NV_TENSORRT_PATCH) +
        (NV_TENSORRT_MAJOR < 10 ? "" : " or a later one of this major version") +
        ", whose headers this build has, got " + text);
  }

  static void configure(nvinfer1::IBuilderConfig& config, const BuildSettings& settings) {
    using nvinfer1::BuilderFlag;
    using nvinfer1::TacticSource;
    config.clearFlag(BuilderFlag::kTF32);
    config.setTacticSources(
        1U << static_cast<std::uint32_t>(TacticSource::kEDGE_MASK_CONVOLUTIONS) |
        1U << static_cast<std::uint32_t>(TacticSource::kJIT_CONVOLUTIONS));
    config.setMaxAuxStreams(0);
    config.setBuilderOptimizationLevel(settings.optimization_level);
    if (settings.workspace_bytes > 0)
      config.setMemoryPoolLimit(nvinfer1::MemoryPoolType::kWORKSPACE, settings.workspace_bytes);
#if NV_TENSORRT_MAJOR < 10
    config.setPreviewFeature(nvinfer1::PreviewFeature::kPROFILE_SHARING_0806, true);
    if (!settings.has_float16) return;
    config.setFlag(BuilderFlag::kFP16);
    config.setFlag(BuilderFlag::kOBEY_PRECISION_CONSTRAINTS);
#endif
  }

  void keep_timings(const nvinfer1::ITimingCache* cache) {
    if (cache == nullptr) return;
    const std::unique_ptr<nvinfer1::IHostMemory> bytes(cache->serialize());
    if (bytes != nullptr) timings_ = copy_of(*bytes);
  }

  static std::vector<std::byte> copy_of(nvinfer1::IHostMemory& memory) {
    const auto* data = static_cast<const std::byte*>(memory.data());
    return {data, data + memory.size()};
  }

  DriverRequest request_;
  std::string plugins_;
  std::string version_;
  Logger& logger_ = lasting_logger();
  std::vector<std::byte> timings_;
  std::unique_ptr<nvinfer1::IBuilder> builder_;
  std::unique_ptr<nvinfer1::IRuntime> runtime_;
};

}  // namespace
}  // namespace ttsrt::tensorrt

extern "C" __attribute__((visibility("default"))) ttsrt::tensorrt::Driver* ttsrt_tensorrt_driver(
    const ttsrt::tensorrt::DriverRequest* request, char* error, std::size_t capacity) {
  using namespace ttsrt::tensorrt;
  try {
    if (request->version != kDriverVersion) {
      throw std::runtime_error("expected a driver library of version " +
                               std::to_string(request->version) + ", got one of " +
                               std::to_string(kDriverVersion));
    }
    return std::make_unique<OurDriver>(*request).release();
  } catch (const std::exception& problem) {
    std::snprintf(error, capacity, "%s", problem.what());
    return nullptr;
  }
}
