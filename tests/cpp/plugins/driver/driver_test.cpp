// The driver of device "tensorrt", for each major version, over a library that stands for TensorRT
// (fake_library.cpp): what it calls, in which order, and what it says where a call fails. It is
// opened as an executor opens it, by tensorrt/library.h.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "support/errors.h"
#include "symbols.h"
#include "tensorrt/library.h"

namespace ttsrt::tensorrt {
namespace {

using ttsrt::test::symbols_of;
using ttsrt::test::throws_naming;

struct Version {
  std::int32_t major;
  const char* text;
  std::int32_t network_flags;
  const char* plugin_call;
};
constexpr Version kVersions[] = {{8, "8.6.0", 4, "addPluginV2"},
                                 {10, "10.3.0", 8, "addPluginV3"},
                                 {11, "11.1.0", 0, "addPluginV3"}};

std::vector<std::byte> bytes_of(const std::string& text) {
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class DriverLibrary : public testing::TestWithParam<Version> {
 protected:
  void SetUp() override {
    const std::string folder = TTSRT_DRIVER_FOLDER;
    fake_ = folder + "/libfake_nvinfer.so." + std::to_string(GetParam().major);
    setenv("TTSRT_TENSORRT_FOLDER", folder.c_str(), 1);
    setenv("TTSRT_TENSORRT_LIBRARY", fake_.c_str(), 1);
    std::ofstream(folder + "/" + stem() + ".so");  // the plugins, which only TensorRT opens
    library_ = dlopen(fake_.c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library_, nullptr) << dlerror();
    reset();
  }
  void TearDown() override {
    if (library_ != nullptr) {
      EXPECT_EQ(function<std::int32_t()>("fake_alive")(), 0);
    }
    unsetenv("TTSRT_TENSORRT_FOLDER");
    unsetenv("TTSRT_TENSORRT_LIBRARY");
  }

  std::string stem() const { return "ttsrt_rt_trt" + std::to_string(GetParam().major); }
  template <class Function>
  Function* function(const char* name) const {
    return reinterpret_cast<Function*>(dlsym(library_, name));
  }
  // From now on, the call of that name fails.
  void reset(const std::string& fails_at = "", std::int32_t version = 0) const {
    function<void(const char*, std::int32_t)>("fake_reset")(fails_at.c_str(), version);
  }
  std::string calls() const { return function<const char*()>("fake_calls")(); }
  bool has(const std::string& line) const {
    return ("\n" + calls()).find("\n" + line + "\n") != std::string::npos;
  }
  std::int64_t count(const std::string& name) const {
    const std::string all = "\n" + calls();
    std::int64_t found = 0;
    for (std::size_t at = all.find("\n" + name); at != std::string::npos;
         at = all.find("\n" + name, at + 1))
      ++found;
    return found;
  }

  std::string fake_;
  void* library_ = nullptr;
};

BuildSettings settings_of(bool has_float16 = false, bool uses_convolutions = false) {
  BuildSettings settings;
  settings.ranges = {{1, 2, 8}, {9, 64, 64}};
  settings.has_float16 = has_float16;
  settings.uses_convolutions = uses_convolutions;
  settings.optimization_level = 2;
  settings.workspace_bytes = 1 << 20;
  return settings;
}

// Every kind of layer once; x is the tensor of the rows.
void write_all(NetworkWriter& writer, Type type) {
  writer.begin_op("decode 3 Linear");
  const TensorId x = writer.input("x", Type::float32, {kRowsExtent, 4});
  const TensorId state = writer.input("state", Type::int32, {2, 3});
  const TensorId weight = writer.constant(type, {6, 4}, [type] {
    return std::vector<std::byte>(24 * (type == Type::float16 ? 2 : 4));
  });
  TensorId y = type == Type::float16 ? writer.cast(x, type) : x;
  y = writer.product(y, weight);
  if (type == Type::float16) y = writer.cast(y, Type::float32);
  for (const Unary each : {Unary::tanh, Unary::sigmoid, Unary::softplus, Unary::erf, Unary::sqrt})
    y = writer.apply(each, y);
  const TensorId half = writer.columns(y, 3, 3);
  for (const Binary each : {Binary::sum, Binary::product, Binary::difference, Binary::quotient})
    y = writer.combine(each, y, writer.mean(half));
  writer.begin_op("decode 4 FinishStep");
  const Fields fields = {{"max_rows", plugins::Numbers{64}}, {"scale", plugins::Reals{0.5F}}};
  const std::vector<TensorId> made = writer.plugin("FinishStep", fields, {y, state}, 2);
  writer.output("out", writer.copy(y));
  writer.output("token", made.back());
}

TEST_P(DriverLibrary, ExportsItsEntryAloneAndLinksNoTensorRT) {
  const std::string path = std::string(TTSRT_DRIVER_FOLDER) + "/" + stem() + "_driver.so";
  EXPECT_EQ(symbols_of(path, "--defined-only"), std::set<std::string>{"ttsrt_tensorrt_driver"});
  for (const std::string& name : symbols_of(path, "--undefined-only")) {
    EXPECT_EQ(name.find("nvinfer"), std::string::npos) << name;
    EXPECT_EQ(name.find("Infer"), std::string::npos) << name;
    EXPECT_NE(name.rfind("cuda", 0), 0) << name;
  }
}

TEST_P(DriverLibrary, TakesTheVersionsOfItsHeaders) {
  EXPECT_EQ(open_driver(GetParam().major)->version(), GetParam().text);
  EXPECT_EQ(open_newest_driver()->version(), GetParam().text);
  const std::int32_t scale = GetParam().major < 10 ? 1000 : 10000;
  const std::int32_t step = GetParam().major < 10 ? 1 : 100;
  const std::int32_t own = GetParam().major * scale;
  reset("", own);  // older than the headers
  EXPECT_TRUE(throws_naming<ConfigError>("whose headers this build has, got ",
                                         [] { open_driver(GetParam().major); }));
  reset("", own + scale);  // of another major version
  EXPECT_TRUE(throws_naming<ConfigError>(std::string("expected TensorRT ") + GetParam().text,
                                         [] { open_driver(GetParam().major); }));
  reset("", own + 6 * (scale / (GetParam().major < 10 ? 10 : 100)) + step);  // later: 8.6.1, 10.7.0
  if (GetParam().major < 10) {
    EXPECT_TRUE(throws_naming<ConfigError>("got 8.6.1", [] { open_driver(8); }));
  } else {
    EXPECT_EQ(open_driver(GetParam().major)->version().substr(2), ".7.0");
  }
}

TEST_P(DriverLibrary, WritesEveryLayer) {
  const std::shared_ptr<Driver> driver = open_driver(GetParam().major);
  const std::vector<std::byte> plan =
      driver->build(settings_of(), [](NetworkWriter& writer) { write_all(writer, Type::float32); });
  EXPECT_EQ(text_of(plan), "plan 0") << calls();
  EXPECT_TRUE(has("loadLibrary builder " + stem() + ".so"));
  EXPECT_TRUE(has("createNetworkV2 " + std::to_string(GetParam().network_flags)));
  EXPECT_TRUE(has("clearFlag kTF32"));
  EXPECT_TRUE(has("setTacticSources 96"));  // neither cuBLAS nor cuDNN
  EXPECT_TRUE(has("setMaxAuxStreams 0"));
  EXPECT_TRUE(has("setBuilderOptimizationLevel 2"));
  EXPECT_TRUE(has("setMemoryPoolLimit 1048576"));
  EXPECT_TRUE(has("addInput x float32 [-1,4]"));
  EXPECT_TRUE(has("setDimensionName x 0 rows"));
  EXPECT_TRUE(has("addInput state int32 [2,3]"));
  for (const char* shape : {"0 [1,4]", "1 [2,4]", "2 [8,4]", "0 [9,4]", "1 [64,4]", "2 [64,4]"})
    EXPECT_TRUE(has(std::string("setDimensions x ") + shape)) << shape;
  EXPECT_EQ(count("setDimensions"), 6);
  EXPECT_EQ(count("addOptimizationProfile"), 2);
  EXPECT_TRUE(has("addConstant float32 [6,4] of 24 -> t0"));
  EXPECT_TRUE(has("addMatrixMultiply x t0.0^T -> t1"));
  EXPECT_TRUE(has("setName t1 = decode 3 Linear 1 product"));
  EXPECT_TRUE(has("addActivation t1.0 602 -> t2"));
  EXPECT_TRUE(has("addActivation t2.0 601 -> t3"));
  EXPECT_TRUE(has("addActivation t3.0 603 -> t4"));
  EXPECT_TRUE(has("setAlpha t4 1"));
  EXPECT_TRUE(has("setBeta t4 1"));
  EXPECT_TRUE(has("addUnary t4.0 622 -> t5"));
  EXPECT_TRUE(has("addUnary t5.0 621 -> t6"));
  EXPECT_TRUE(has("addSlice t6.0 [0,3][1,3][1,1] -> t7"));
  const char* size = GetParam().major < 10 ? "int32" : "int64";
  EXPECT_TRUE(has(std::string("addConstant ") + size + " [2] of 2 -> t8"));
  EXPECT_TRUE(has("addShape t6.0 -> t9"));
  EXPECT_TRUE(has("addElementWise t9.0 643 t8.0 -> t10"));
  EXPECT_TRUE(has("setInput t7 2 t10.0"));
  EXPECT_TRUE(has("addReduce t7.0 661 2 kept -> t11"));
  EXPECT_TRUE(has("addElementWise t6.0 640 t11.0 -> t12"));
  EXPECT_EQ(count("addElementWise"), 5);
  EXPECT_TRUE(has("getCreator ttsrt_rt FinishStep 1"));
  EXPECT_TRUE(has("createPlugin FinishStep max_rows=64 scale=0.500000"));
  EXPECT_EQ(count(GetParam().plugin_call), 1);
  EXPECT_EQ(count("addIdentity"), 1);
  EXPECT_EQ(count("markOutput"), 2);
  EXPECT_TRUE(has("markOutput token"));
  EXPECT_EQ(count("setPrecision"), 0);
}

TEST_P(DriverLibrary, SaysTypesWhereNetworksHaveNone) {
  const std::shared_ptr<Driver> driver = open_driver(GetParam().major);
  driver->build(settings_of(true), [](NetworkWriter& writer) { write_all(writer, Type::float16); });
  EXPECT_TRUE(has("addConstant float16 [6,4] of 24 -> t0"));
  EXPECT_TRUE(has("addCast x float16 -> t1"));
  EXPECT_TRUE(has("addCast t2.0 float32 -> t3"));
  const bool is_typed = GetParam().major >= 10;
  EXPECT_EQ(has("setFlag kFP16"), !is_typed);
  EXPECT_EQ(has("setFlag kOBEY_PRECISION_CONSTRAINTS"), !is_typed);
  EXPECT_EQ(has("setPrecision t2 float16"), !is_typed);
  EXPECT_EQ(has("setOutputType t2 0 float16"), !is_typed);
  EXPECT_EQ(has("setPrecision t4 float32"), !is_typed);
  EXPECT_EQ(has("setPreviewFeature kPROFILE_SHARING_0806"), !is_typed);
  EXPECT_EQ(count("setPrecision t1 "), 0);  // a cast says its type itself
}

TEST_P(DriverLibrary, WritesProductsAsConvolutions) {
  const std::shared_ptr<Driver> driver = open_driver(GetParam().major);
  driver->build(settings_of(false, true),
                [](NetworkWriter& writer) { write_all(writer, Type::float32); });
  EXPECT_EQ(count("addMatrixMultiply"), 0);
  EXPECT_TRUE(has("setReshapeDimensions t1 [0,4,1,1]"));
  EXPECT_TRUE(has("addConvolutionNd t1.0 [1,1] 24 weights, 0 biases -> t2"));
  EXPECT_TRUE(has("setReshapeDimensions t3 [0,6]"));
}

TEST_P(DriverLibrary, HasOneBuilderAndPassesTimesOn) {
  const std::shared_ptr<Driver> driver = open_driver(GetParam().major);
  const auto write = [](NetworkWriter& writer) { write_all(writer, Type::float32); };
  driver->build(settings_of(), write);
  EXPECT_TRUE(has("createTimingCache"));
  EXPECT_TRUE(has("setTimingCache of any device"));
  EXPECT_EQ(text_of(driver->timing_cache()), "times+");
  driver->build(settings_of(), write);
  EXPECT_TRUE(has("createTimingCache times+"));
  EXPECT_EQ(text_of(driver->timing_cache()), "times++");
  EXPECT_EQ(count("createInferBuilder_INTERNAL"), 1);
  EXPECT_EQ(count("loadLibrary"), 1);
  driver->set_timing_cache(bytes_of("of another program"));
  driver->build(settings_of(), write);
  EXPECT_EQ(text_of(driver->timing_cache()), "times+");
}

// TensorRT has one logger for the process, the first that it was given. A driver that is gone must
// not have owned it.
TEST_P(DriverLibrary, SaysWhatTensorRTLogsWhicheverDriverCameFirst) {
  std::shared_ptr<Driver> first = open_driver(GetParam().major);
  const auto write = [](NetworkWriter& writer) { write_all(writer, Type::float32); };
  first->build(settings_of(), write);
  const std::shared_ptr<Driver> second = open_driver(GetParam().major);
  first.reset();
  reset("buildSerializedNetwork");
  EXPECT_TRUE(throws_naming<std::runtime_error>("no buildSerializedNetwork today",
                                                [&] { second->build(settings_of(), write); }));
}

TEST_P(DriverLibrary, LoadsAPlanAndRunsIt) {
  const std::shared_ptr<Driver> driver = open_driver(GetParam().major);
  const std::vector<std::byte> bytes =
      driver->build(settings_of(), [](NetworkWriter& writer) { write_all(writer, Type::float32); });
  const std::unique_ptr<Plan> plan = driver->load(bytes.data(), bytes.size());
  EXPECT_EQ(plan->memory_bytes(), 4096);
  const std::vector<BoundTensor> tensors = plan->tensors();
  ASSERT_EQ(tensors.size(), 4);
  EXPECT_EQ(tensors[0].name, "x");
  EXPECT_EQ(tensors[0].dims, (Dims{kRowsExtent, 4}));
  EXPECT_TRUE(tensors[0].is_input);
  EXPECT_EQ(tensors[1].type, Type::int32);
  EXPECT_EQ(tensors[2].name, "out");
  EXPECT_EQ(tensors[2].dims, (Dims{kRowsExtent, 6}));
  EXPECT_FALSE(tensors[2].is_input);
  ContextSettings settings;
  settings.rows = 5;
  settings.profile_index = 1;
  for (std::size_t i = 0; i < tensors.size(); ++i)
    settings.addresses.emplace_back(tensors[i].name, reinterpret_cast<void*>(256 * (i + 1)));
  settings.memory = reinterpret_cast<void*>(1024);
  settings.keeps_times = true;
  const std::unique_ptr<Context> context = plan->make_context(settings);
  EXPECT_TRUE(has("setOptimizationProfileAsync 1"));
  EXPECT_EQ(count("setDeviceMemory 1024"), 1);
  EXPECT_TRUE(has("setInputShape x [5,4]"));
  EXPECT_EQ(count("setInputShape"), 1);  // of what has rows
  EXPECT_TRUE(has("setTensorAddress state 512"));
  EXPECT_TRUE(has("setTensorAddress token 1024"));
  context->enqueue(nullptr);
  context->enqueue(nullptr);
  const std::vector<LayerTime> times = context->times();
  ASSERT_EQ(times.size(), 2);
  EXPECT_EQ(times[0].name, "first");
  EXPECT_EQ(times[0].runs, 2);
  EXPECT_FLOAT_EQ(static_cast<float>(times[0].seconds), 4e-3F);
  settings.keeps_times = false;
  EXPECT_TRUE(plan->make_context(settings)->times().empty());
  reset("enqueueV3");
  EXPECT_TRUE(throws_naming<DeviceError>(
      "no enqueueV3 today", [&] { guarded("decode 0", [&] { context->enqueue(nullptr); }); }));
}

// Makes all there is, up to a launch.
void run_all(std::int32_t major) {
  const std::shared_ptr<Driver> driver = open_driver(major);
  guarded("a plan", [&] {
    const std::vector<std::byte> bytes = driver->build(
        settings_of(true), [](NetworkWriter& writer) { write_all(writer, Type::float16); });
    const std::unique_ptr<Plan> plan = driver->load(bytes.data(), bytes.size());
    ContextSettings settings;
    for (const BoundTensor& tensor : plan->tensors())
      settings.addresses.emplace_back(tensor.name, nullptr);
    plan->make_context(settings)->enqueue(nullptr);
  });
}

TEST_P(DriverLibrary, SaysWhichCallFailedAndWhy) {
  const std::string plugin_call = GetParam().plugin_call;
  for (const std::string& call : std::vector<std::string>{"createInferBuilder_INTERNAL",
                                                          "createNetworkV2",
                                                          "createBuilderConfig",
                                                          "createOptimizationProfile",
                                                          "addInput",
                                                          "setDimensions",
                                                          "addConstant",
                                                          "addCast",
                                                          "addMatrixMultiply",
                                                          "addActivation",
                                                          "addUnary",
                                                          "addSlice",
                                                          "addShape",
                                                          "addElementWise",
                                                          "addReduce",
                                                          "addIdentity",
                                                          "getCreator",
                                                          "createPlugin",
                                                          plugin_call,
                                                          "addOptimizationProfile",
                                                          "buildSerializedNetwork",
                                                          "createInferRuntime_INTERNAL",
                                                          "deserializeCudaEngine",
                                                          "createExecutionContext",
                                                          "setOptimizationProfileAsync",
                                                          "setInputShape",
                                                          "setTensorAddress",
                                                          "enqueueV3"}) {
    reset(call);
    EXPECT_TRUE(throws_naming<DeviceError>("TensorRT refuses ", [] { run_all(GetParam().major); }))
        << call;
    reset(call);
    EXPECT_TRUE(throws_naming<DeviceError>(": no " + call + " today", [] {
      run_all(GetParam().major);
    })) << call;
  }
  reset();
  EXPECT_NO_THROW(run_all(GetParam().major));
}

// A plan is built without a cache of times, and with the plugins in the registry of the process.
TEST_P(DriverLibrary, DoesWithoutWhatItNeedNotHave) {
  for (const char* call : {"createTimingCache", "setTimingCache", "serialize",
                           "builder.loadLibrary", "runtime.loadLibrary"}) {
    reset(call);
    EXPECT_NO_THROW(run_all(GetParam().major)) << call;
  }
  reset("loadLibrary");
  EXPECT_TRUE(throws_naming<DeviceError>(
      stem() + ".so: it is no plugin library of TensorRT " + std::to_string(GetParam().major),
      [] { run_all(GetParam().major); }));
}

TEST_P(DriverLibrary, RefusesAnotherInterface) {
  const std::string path = std::string(TTSRT_DRIVER_FOLDER) + "/" + stem() + "_driver.so";
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << dlerror();
  const auto entry = reinterpret_cast<DriverEntry>(dlsym(library, kDriverEntry));
  DriverRequest request;
  request.version = kDriverVersion + 1;
  std::string error(256, '\0');
  EXPECT_EQ(entry(&request, error.data(), error.size()), nullptr);
  EXPECT_NE(error.find("expected a driver library of version 2, got one of 1"), std::string::npos);
  request.version = kDriverVersion;
  request.find = [](void*, const char*) -> void* { return nullptr; };
  EXPECT_EQ(entry(&request, error.data(), error.size()), nullptr);
  EXPECT_NE(error.find("the library of TensorRT has no getInferLibVersion"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Each, DriverLibrary, testing::ValuesIn(kVersions),
                         [](const auto& info) { return std::to_string(info.param.major); });

}  // namespace
}  // namespace ttsrt::tensorrt
