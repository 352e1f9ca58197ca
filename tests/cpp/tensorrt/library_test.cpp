#include "tensorrt/library.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "cuda/cuda_backend.h"
#include "support/errors.h"
#include "support/temp_dir.h"

namespace ttsrt::tensorrt {
namespace {

using ttsrt::test::TempDir;
using ttsrt::test::throws_naming;

// With a true library, TTSRT_TENSORRT_LIBRARY, and our libraries for it; it needs no GPU.
TEST(TrueLibrary, SaysItsVersionAndWhyItBuildsNothingWithoutADevice) {
  if (std::getenv("TTSRT_TENSORRT_LIBRARY") == nullptr || driver_majors().empty())
    GTEST_SKIP() << "needs TTSRT_TENSORRT_LIBRARY and the libraries of a build with its headers";
  const std::shared_ptr<Driver> driver = open_newest_driver();
  EXPECT_NE(driver->version().find('.'), std::string::npos);
  if (can_use_cuda()) return;
  EXPECT_TRUE(throws_naming<DeviceError>("createInferBuilder_INTERNAL", [&] {
    guarded("a plan", [&] { return driver->build({}, [](NetworkWriter&) {}); });
  }));
}

class Library : public testing::Test {
 protected:
  void SetUp() override { setenv("TTSRT_TENSORRT_FOLDER", folder_.file(".").c_str(), 1); }
  void TearDown() override {
    unsetenv("TTSRT_TENSORRT_FOLDER");
    unsetenv("TTSRT_TENSORRT_LIBRARY");
  }
  void add(std::int32_t major) {
    const std::string stem = "ttsrt_rt_trt" + std::to_string(major);
    ttsrt::test::write_file(folder_.file(stem + ".so"), "no library");
    ttsrt::test::write_file(folder_.file(stem + "_driver.so"), "no library");
  }

  TempDir folder_;
};

TEST_F(Library, SaysWhatToInstallWithoutOurLibraries) {
  EXPECT_TRUE(driver_majors().empty());
  EXPECT_TRUE(throws_naming<NotFoundError>("no libraries for TensorRT 8 (it has: none)",
                                           [] { open_driver(8); }));
  EXPECT_TRUE(throws_naming<NotFoundError>("TTSRT_PLUGINS=ON", [] { open_newest_driver(); }));
  add(10);
  EXPECT_EQ(driver_majors(), std::vector<std::int32_t>{10});
  EXPECT_TRUE(throws_naming<NotFoundError>("(it has: 10)", [] { open_driver(8); }));
}

TEST_F(Library, SaysWhatToInstallWithoutTensorRT) {
  add(8);
  setenv("TTSRT_TENSORRT_LIBRARY", folder_.file("libnvinfer.so.8").c_str(), 1);
  EXPECT_TRUE(throws_naming<NotFoundError>("install TensorRT 8, or set TTSRT_TENSORRT_LIBRARY",
                                           [] { open_driver(8); }));
  EXPECT_TRUE(throws_naming<NotFoundError>("install TensorRT, or set TTSRT_TENSORRT_LIBRARY",
                                           [] { open_newest_driver(); }));
}

TEST_F(Library, MakesErrorsOfTheDriverOurs) {
  EXPECT_TRUE(throws_naming<DeviceError>("tensorrt: decode: out of it", [] {
    guarded("decode", []() -> int { throw std::runtime_error("out of it"); });
  }));
  EXPECT_TRUE(throws_naming<ConfigError>(
      "ours", [] { guarded("decode", []() -> int { throw ConfigError("ours"); }); }));
}

}  // namespace
}  // namespace ttsrt::tensorrt
