// The libraries that TensorRT would load, as files: what they export, what they need, and what
// their entry points give. They are built like those of a release, with the kernels, but for the
// header.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

#include "common/op.h"
#include "symbols.h"

namespace ttsrt::plugins::test {
namespace {

struct Library {
  const char* name;
  const char* path;
  const char* entry;
};
constexpr Library kLibraries[] = {{"v2", TTSRT_PLUGINS_V2, "getPluginCreators"},
                                  {"v3", TTSRT_PLUGINS_V3, "getCreators"}};

struct Close {
  void operator()(void* library) const { dlclose(library); }
};

class PluginLibrary : public testing::TestWithParam<Library> {};

TEST_P(PluginLibrary, ExportsItsEntryPointsAlone) {
  const std::set<std::string> expected = {GetParam().entry, "setLoggerFinder"};
  EXPECT_EQ(ttsrt::test::symbols_of(GetParam().path, "--defined-only"), expected);
}

TEST_P(PluginLibrary, NeedsNothingOfTensorRTOrCuda) {
  const std::set<std::string> needed = ttsrt::test::symbols_of(GetParam().path, "--undefined-only");
  EXPECT_EQ(needed.count("dlopen"), 1) << "this is no list of symbols";
  for (const std::string& name : needed) {
    EXPECT_EQ(name.find("nvinfer"), std::string::npos) << name;
    EXPECT_EQ(name.find("getPluginRegistry"), std::string::npos) << name;
    EXPECT_NE(name.rfind("cuda", 0), 0) << name;
    EXPECT_NE(name.rfind("cu", 0), 0) << name;
  }
}

TEST_P(PluginLibrary, GivesACreatorForEachKind) {
  const std::unique_ptr<void, Close> library(dlopen(GetParam().path, RTLD_NOW | RTLD_LOCAL));
  ASSERT_NE(library, nullptr) << dlerror();
  using Creators = const void* (*)(std::int32_t&);
  const auto creators = reinterpret_cast<Creators>(dlsym(library.get(), GetParam().entry));
  ASSERT_NE(creators, nullptr);
  std::int32_t count = 0;
  EXPECT_NE(creators(count), nullptr);
  EXPECT_EQ(count, static_cast<std::int32_t>(kinds().size()));
}

INSTANTIATE_TEST_SUITE_P(Both, PluginLibrary, testing::ValuesIn(kLibraries),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace ttsrt::plugins::test
