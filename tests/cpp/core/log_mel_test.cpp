#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "support/errors.h"
#include "ttsrt/audio.h"

namespace ttsrt {
namespace {

std::vector<float> tone(double hertz, std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    const double at = static_cast<double>(i) / 24000.0;
    values[i] = static_cast<float>(0.5 * std::sin(2.0 * std::numbers::pi * hertz * at));
  }
  return values;
}

Matrix<float> mel_of(const std::vector<float>& samples, const MelOptions& options) {
  return log_mel(samples.data(), static_cast<std::int64_t>(samples.size()), options);
}

MelOptions of_kind(MelKind kind) {
  MelOptions options;
  options.kind = kind;
  return options;
}

TEST(LogMel, HasTheFramesOfTheOriginals) {
  for (const std::size_t count : {1024, 1279, 1280, 2560, 24000}) {
    const std::vector<float> samples = tone(440.0, count);
    const auto frames = static_cast<std::int64_t>(count / 256);
    EXPECT_EQ(mel_of(samples, of_kind(MelKind::vocos)).rows, frames + 1);
    EXPECT_EQ(mel_of(samples, of_kind(MelKind::bigvgan)).rows, frames);
  }
}

TEST(LogMel, SilenceIsTheFloor) {
  const Matrix<float> mel = mel_of(std::vector<float>(2000, 0.0F), of_kind(MelKind::vocos));
  ASSERT_EQ(mel.cols, 100);
  for (const float value : mel.values) EXPECT_FLOAT_EQ(value, std::log(1e-5F));
}

// A sine of amplitude A gives a bin of A * sum(window) / 2 = A * 256 where it lies on a bin, half
// of that beside it, and nothing elsewhere.
TEST(LogMel, AToneOnABinHasTheSumsOfItsWindow) {
  const double bin = 12000.0 / 512;
  const Matrix<float> mel = mel_of(tone(40 * bin, 8192), of_kind(MelKind::vocos));
  const auto edge = [](int j) {
    const double top = 2595.0 * std::log10(1.0 + 12000.0 / 700.0);
    return 700.0 * (std::pow(10.0, top * j / 101.0 / 2595.0) - 1.0);
  };
  for (int j = 0; j < 100; ++j) {
    double sum = 0.0;
    for (const int k : {39, 40, 41}) {
      const double hertz = bin * k;
      const double up = (hertz - edge(j)) / (edge(j + 1) - edge(j));
      const double down = (edge(j + 2) - hertz) / (edge(j + 2) - edge(j + 1));
      sum += std::max(0.0, std::min(up, down)) * (k == 40 ? 128.0 : 64.0);
    }
    if (sum < 1.0) continue;
    EXPECT_NEAR(mel.row(16)[j], std::log(sum), 1e-4) << "band " << j;
  }
}

TEST(LogMel, TheBandsOfBigVganHaveAreaOne) {
  // Below 1 kHz Slaney's bands are equally wide: 12 kHz are 15 + ln(12) / (ln(6.4) / 27) mels.
  const double mels = 15.0 + std::log(12.0) / (std::log(6.4) / 27.0);
  const double width = 2.0 * mels / 101.0 * 200.0 / 3.0;
  std::vector<float> impulse(4096, 0.0F);
  impulse[2048] = 1.0F;  // its spectrum is flat: the window at its place
  const Matrix<float> mel = mel_of(impulse, of_kind(MelKind::bigvgan));
  // A band's weights sum to its area over the width of a bin.
  double sum = 0.0;
  for (int j = 5; j < 20; ++j) sum += std::exp(mel.row(7)[j]) / 15.0;
  const double place = 2048 + 384 - 7 * 256;
  const double window = 0.5 - 0.5 * std::cos(2.0 * std::numbers::pi * place / 1024);
  EXPECT_NEAR(sum, window / (12000.0 / 512), 0.05 * window / (12000.0 / 512));
  EXPECT_LT(width, 200.0);
}

TEST(LogMel, TheEndsAreMirrored) {
  const std::vector<float> half = tone(700.0, 3000);
  std::vector<float> whole(half.rbegin(), half.rend() - 1);
  whole.insert(whole.end(), half.begin(), half.end());
  // Frame 0 of the half is centred on its first sample, and 2999 samples come before it in the
  // whole; so the frame of the whole at the same place is that of another start.
  whole.erase(whole.begin(), whole.begin() + 2999 % 256);
  const Matrix<float> a = mel_of(half, of_kind(MelKind::vocos));
  const Matrix<float> b = mel_of(whole, of_kind(MelKind::vocos));
  for (int j = 0; j < 100; ++j) EXPECT_EQ(a.row(0)[j], b.row(2999 / 256)[j]);
}

TEST(LogMel, RefusesWhatHasNoSpectrogram) {
  using test::throws_naming;
  const auto of = [](std::size_t count, MelKind kind) { mel_of(tone(1, count), of_kind(kind)); };
  EXPECT_TRUE(throws_naming<ConfigError>("expected 513 to", [&] { of(512, MelKind::vocos); }));
  EXPECT_NO_THROW(of(513, MelKind::vocos));
  EXPECT_TRUE(throws_naming<ConfigError>("expected 385 to", [&] { of(384, MelKind::bigvgan); }));
  std::vector<float> samples = tone(1, 2000);
  samples[77] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(throws_naming<ConfigError>("finite", [&] { mel_of(samples, MelOptions()); }));
  MelOptions odd;
  odd.window = 1000;
  EXPECT_TRUE(throws_naming<ConfigError>("window: expected a power of two",
                                         [&] { mel_of(tone(1, 2000), odd); }));
  EXPECT_TRUE(throws_naming<ConfigError>("vocos or bigvgan", [] { mel_kind_from_name("htk"); }));
  EXPECT_EQ(mel_kind_from_name("bigvgan"), MelKind::bigvgan);
}

}  // namespace
}  // namespace ttsrt
