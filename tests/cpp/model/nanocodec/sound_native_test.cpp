// A small random codec on the backends that have kernels of their own: as the reference, and the
// same bits whole, in chunks, alone, in a crowd and with any number of threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ops/reference/reference_backend.h"
#include "support/codec_models.h"
#include "support/native_backends.h"

namespace ttsrt::model::nanocodec {
namespace {

using test::codes_request;
using test::EngineRig;
using test::FakeHandle;
using test::open_native;
using test::random_codes;

constexpr std::uint32_t kStreams = 9;

std::vector<std::int32_t> codes_of(std::uint32_t seed) {
  return random_codes(static_cast<std::int32_t>(1 + 13 * seed % 80), seed);
}

class CodecSoundOn : public ::testing::TestWithParam<std::string> {
 protected:
  test::TinyEngine engine_{test::codec_config()};
};

TEST_P(CodecSoundOn, IsThatOfTheReferenceInAnyCompany) {
  EngineRig plain(engine_.path(), ops::make_reference_backend());
  std::vector<std::vector<float>> alone;
  {
    EngineRig rig(engine_.path(), open_native(GetParam(), 1));
    for (std::uint32_t seed = 0; seed < kStreams; ++seed) {
      const std::vector<float> expected =
          plain.submit(codes_request(codes_of(seed))).result().audio;
      const Result result = rig.submit(codes_request(codes_of(seed))).result();
      ASSERT_EQ(result.audio.size(), expected.size()) << result.error;
      for (std::size_t i = 0; i < expected.size(); ++i)
        ASSERT_NEAR(result.audio[i], expected[i], 1e-5F) << i;
      alone.push_back(result.audio);
    }
  }
  for (const std::int32_t threads : test::thread_counts(GetParam())) {
    EngineRig rig(engine_.path(), open_native(GetParam(), threads));
    std::vector<FakeHandle> handles;
    for (std::uint32_t seed = 0; seed < kStreams; ++seed) {
      Request request = codes_request(codes_of(seed));
      if (seed % 2 == 0) request.initial_chunk_frames = 1 + static_cast<std::int32_t>(seed % 3);
      handles.push_back(rig.submit(std::move(request)));
    }
    for (std::uint32_t seed = 0; seed < kStreams; ++seed)
      EXPECT_EQ(handles[seed].result().audio, alone[seed]) << seed << " by " << threads;
  }
}

TEST_P(CodecSoundOn, BecomesTheCodesOfTheReference) {
  EngineRig plain(engine_.path(), ops::make_reference_backend());
  EngineRig rig(engine_.path(), open_native(GetParam(), 2));
  for (const std::size_t samples : {1, 6, 7, 100, 333}) {
    Request request;
    request.samples = test::random_vector(samples, 3, 0.8F);
    const Result expected = plain.submit(Request(request)).result();
    const Result result = rig.submit(std::move(request)).result();
    EXPECT_EQ(result.codes.values, expected.codes.values) << samples << result.error;
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, CodecSoundOn, ::testing::ValuesIn(test::native_backends()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace ttsrt::model::nanocodec
