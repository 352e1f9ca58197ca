// Suites that run over every way to call the plugins, on a machine with a GPU.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cpu/cpu_support.h"
#include "cuda/cuda_backend.h"
#include "plugin_backend.h"
#include "support/native_backends.h"

namespace ttsrt::plugins::test {

using ttsrt::test::Pair;
using ttsrt::test::PairOpener;

inline std::vector<PluginSetup> plugin_setups() {
  return {
      {&v2_harness(), false}, {&v2_harness(), true}, {&v3_harness(), false}, {&v3_harness(), true}};
}

inline std::string name_of_setup(const testing::TestParamInfo<PluginSetup>& info) {
  return info.param.harness->name() + std::string(info.param.is_captured ? "_captured" : "");
}

// Skips where there is no device, unless TTSRT_REQUIRE asks for it.
class OnGpu : public testing::TestWithParam<PluginSetup> {
 protected:
  void SetUp() override {
    if (can_use_cuda()) return;
    const std::string reason = list_cuda_devices().front().reason;
    if (ttsrt::test::requires_cuda()) FAIL() << reason;
    GTEST_SKIP() << reason;
  }
  // With the reference.
  static PairOpener pairs() {
    return [setup = GetParam()](const ops::StateSpec& spec) {
      return Pair(make_plugin_backend(setup), spec);
    };
  }
  // The CUDA backend compared with the plugins, which have its kernels: bits are the same. What no
  // plugin writes is NaN and isn't compared.
  static PairOpener pairs_with_backend() {
    return [setup = GetParam()](const ops::StateSpec& spec) {
      return Pair(make_plugin_backend(setup), make_cuda_backend(0), spec);
    };
  }
};

}  // namespace ttsrt::plugins::test
