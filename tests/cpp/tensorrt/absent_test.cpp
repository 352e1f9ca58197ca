// A build without CUDA says so.
#include <gtest/gtest.h>

#include "support/errors.h"
#include "support/tiny_engine.h"
#include "ttsrt/executor.h"
#include "ttsrt/tensorrt.h"

namespace ttsrt {
namespace {

TEST(TensorRtAbsent, NamesTheBuildOptions) {
  const test::TinyEngine engine;
  ExecutorOptions options;
  options.device = "tensorrt:0";
  EXPECT_TRUE(test::throws_naming<DeviceError>(
      "TTSRT_CUDA=ON, TTSRT_PLUGINS=ON", [&] { Executor(Engine::open(engine.path()), options); }));
  EXPECT_TRUE(
      test::throws_naming<DeviceError>("TensorRT_ROOT", [&] { build_plans(engine.path()); }));
}

}  // namespace
}  // namespace ttsrt
