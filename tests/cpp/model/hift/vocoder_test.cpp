// The Programs of a vocoder with random weights: windows have the bits of the whole, backends
// agree, and what a request's stops hold. tests/parity compares them with the original.
#include "model/hift/vocoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "model/hift/noise.h"
#include "ops/check.h"
#include "ops/reference/reference_backend.h"
#include "support/backend.h"
#include "support/errors.h"
#include "support/native_backends.h"
#include "support/packed_weights.h"

namespace ttsrt::model::hift {
namespace {

constexpr std::int32_t kFrames = 130;

Json small_json() {
  return {{"mel_bins", 20},
          {"dim", 16},
          {"rates", {4, 3}},
          {"kernels", {8, 7}},
          {"chain_kernels", {3, 7, 11}},
          {"source_kernels", {7, 11}},
          {"dilations", {1, 3, 5}},
          {"n_fft", 16},
          {"hop", 4},
          {"harmonics", 9},
          {"f0_dim", 18},
          {"f0_layers", 5}};
}

Config config_of(const Json& json) { return read_config(JsonReader(json, "vocoder"), 2400); }

// A vocoder on one backend, with the noise of a request in its slot.
class Vocoder {
 public:
  Vocoder(const Config& config, const test::PackedWeights& weights,
          std::unique_ptr<ops::Backend> backend, bool is_traced = false)
      : config_(config), backend_(std::move(backend)) {
    ops::StateSpec spec;
    spec.slots = 1;
    spec.dim = config.mel_bins;
    const std::int32_t first = add_state(config, kFrames, spec);
    backend_->create_state(spec);
    append_programs(weights.get(), "vocoder.", config, {first, kFrames}, is_traced, programs_);
    for (const FamilyProgram& of : programs_) {
      ops::check_program(of.program, spec);
      ops::ProgramLimits limits;
      limits.max_rows = of.max_rows;
      limits.trace = is_traced;
      executables_.push_back(backend_->compile(of.program, limits));
    }
    noise_.add_vectors(0, kFrames, noise_rows(config, 7, 0, kFrames));
    executables_[0]->launch(noise_.batch);
    test::run_queued(*backend_);
  }

  void keep(const std::vector<float>& mel) {
    test::TestBatch batch;
    batch.add_vectors(0, kFrames, mel);
    executables_[1]->launch(batch.batch);
    test::run_queued(*backend_);
  }

  // Rows [first, last) of the item that is kept, with one beyond it.
  step::StepOutput run(std::int32_t first, std::int32_t last) {
    test::TestBatch batch;
    batch.add(0, last - first + 1, step::Input::zeros).position = first;
    executables_[2]->launch(batch.batch);
    return test::run_queued(*backend_);
  }

  std::size_t activation_bytes() const {
    std::size_t bytes = 0;
    for (const auto& executable : executables_) bytes += executable->activation_bytes();
    return bytes;
  }

  std::vector<float> in_windows(const std::vector<float>& mel, std::int32_t window) {
    std::vector<float> sound;
    const std::int32_t halo = window_halo(config_);
    keep(mel);
    for (std::int32_t begin = 0; begin < kFrames; begin += window) {
      const std::int32_t end = std::min(kFrames, begin + window);
      const std::int32_t first = std::max(0, begin - halo);
      const step::StepOutput output = run(first, std::min(kFrames, end + halo));
      const step::RowsOutput& rows = output.rows.at(0);
      EXPECT_EQ(rows.width, config_.samples());
      sound.insert(sound.end(), rows.values.begin() + (begin - first) * rows.width,
                   rows.values.begin() + (end - first) * rows.width);
    }
    return sound;
  }

 private:
  Config config_;
  std::unique_ptr<ops::Backend> backend_;
  std::vector<FamilyProgram> programs_;
  std::vector<std::unique_ptr<ops::Executable>> executables_;
  test::TestBatch noise_;
};

struct Model {
  Config config = config_of(small_json());
  std::vector<float> mel = test::random_vector(std::size_t{kFrames} * 20, 3, 2.0F);

  test::PackedWeights weights(DType dtype) const {
    Manifest manifest;
    declare(manifest, "vocoder.", config);
    return test::PackedWeights(manifest, dtype, 1.0F);
  }
};

// The instruction sets of this CPU, and a GPU if there is one.
std::vector<std::string> native_names() {
  std::vector<std::string> names = cpu::supported_levels();
  if (num_cuda_devices() > 0) names.emplace_back(test::kCuda);
  return names;
}

TEST(Hift, WindowsAreTheWholeBitForBit) {
  const Model model;
  for (const DType dtype : {DType::float32, DType::bfloat16}) {
    const test::PackedWeights weights = model.weights(dtype);
    for (const std::string& isa : native_names()) {
      const std::vector<float> whole =
          Vocoder(model.config, weights, test::open_native(isa, 1)).in_windows(model.mel, kFrames);
      EXPECT_GT(*std::max_element(whole.begin(), whole.end()), 1e-3F);
      for (const std::int32_t window : {13, 32}) {
        const std::vector<float> got =
            Vocoder(model.config, weights, test::open_native(isa, 3)).in_windows(model.mel, window);
        ASSERT_EQ(got.size(), whole.size());
        EXPECT_EQ(std::memcmp(got.data(), whole.data(), got.size() * sizeof(float)), 0)
            << isa << ", " << name_of(dtype) << ", windows of " << window;
      }
    }
  }
}

TEST(Hift, BackendsAgree) {
  const Model model;
  const test::PackedWeights weights = model.weights(DType::float32);
  const std::vector<float> expected =
      Vocoder(model.config, weights, ops::make_reference_backend()).in_windows(model.mel, kFrames);
  std::vector<std::string> names = {""};
  if (num_cuda_devices() > 0) names.emplace_back(test::kCuda);
  for (const std::string& name : names) {
    for (const bool is_traced : {false, true}) {
      Vocoder vocoder(model.config, weights, test::open_native(name, 2), is_traced);
      const std::vector<float> got = vocoder.in_windows(model.mel, kFrames);
      for (std::size_t i = 0; i < got.size(); ++i)
        ASSERT_NEAR(got[i], expected[i], 2e-4F) << name << ", " << i;
      EXPECT_EQ(vocoder.run(0, kFrames).taps.empty(), !is_traced);
    }
  }
}

Config true_config() {
  Json json = small_json();
  json["mel_bins"] = 80;
  json["dim"] = 512;
  json["rates"] = {8, 5, 3};
  json["kernels"] = {16, 11, 7};
  json["source_kernels"] = {7, 7, 11};
  json["f0_dim"] = 512;
  return read_config(JsonReader(json, "vocoder"), 24000);
}

// The root of the mean square of what differs, relative to that of what is expected.
double error_of(const std::vector<float>& got, const std::vector<float>& expected) {
  double differences = 0.0;
  double squares = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double value = static_cast<double>(expected[i]);
    differences += std::pow(static_cast<double>(got[i]) - value, 2);
    squares += value * value;
  }
  return std::sqrt(differences / squares);
}

// The sizes of the original on a GPU: as near to float32 as the CPU, which rounds inputs to
// bfloat16, too, and in windows the bits of the whole.
TEST(Hift, TrueSizesOnAGpuAreTheSoundOfTheCpu) {
  if (num_cuda_devices() == 0) GTEST_SKIP() << "needs a GPU";
  constexpr std::size_t kMostRowBytes = 450000;
  const Config config = true_config();
  Manifest manifest;
  declare(manifest, "vocoder.", config);
  const std::vector<float> mel = test::random_vector(std::size_t{kFrames} * 80, 3, 2.0F);
  const auto sound_of = [&](const std::string& name, DType dtype, std::int32_t window) {
    const test::PackedWeights weights(manifest, dtype, 0.5F);
    Vocoder vocoder(config, weights, test::open_native(name, 2));
    if (name == test::kCuda) {
      EXPECT_LE(vocoder.activation_bytes(), kMostRowBytes * (kFrames + 1));
    }
    return vocoder.in_windows(mel, window);
  };
  const std::vector<float> exact = sound_of("", DType::float32, kFrames);
  EXPECT_GT(*std::max_element(exact.begin(), exact.end()), 1e-3F);
  const double rounded = error_of(sound_of("", DType::bfloat16, kFrames), exact);
  const std::pair<DType, double> bounds[] = {
      {DType::float32, 1e-3}, {DType::float16, rounded}, {DType::bfloat16, 2.0 * rounded + 1e-3}};
  for (const auto& [dtype, bound] : bounds) {
    const std::vector<float> whole = sound_of(test::kCuda, dtype, kFrames);
    ASSERT_EQ(whole.size(), exact.size());
    EXPECT_LE(error_of(whole, exact), bound) << name_of(dtype);
    const std::vector<float> cut = sound_of(test::kCuda, dtype, 32);
    EXPECT_EQ(std::memcmp(whole.data(), cut.data(), cut.size() * sizeof(float)), 0)
        << name_of(dtype);
  }
}

TEST(Hift, TheBeginningOfAnItemFadesIn) {
  const Model model;
  const test::PackedWeights weights = model.weights(DType::float32);
  Vocoder vocoder(model.config, weights, ops::make_reference_backend());
  const std::vector<float> whole = vocoder.in_windows(model.mel, kFrames);
  EXPECT_TRUE(std::all_of(whole.begin(), whole.begin() + 480, [](float v) { return v == 0.0F; }));
  EXPECT_TRUE(
      std::any_of(whole.begin() + 480, whole.begin() + 960, [](float v) { return v != 0; }));
  EXPECT_LE(*std::max_element(whole.begin(), whole.end()), 0.99F);
}

TEST(Hift, RandomNumbersDependOnSeedAndPlaceAlone) {
  const Config config = config_of(small_json());
  const std::vector<float> long_rows = noise_rows(config, 7, 0, 9);
  const std::vector<float> rows = noise_rows(config, 7, 0, 4);
  const auto width = static_cast<std::size_t>(config.noise_width());
  EXPECT_EQ(width, 48U + 9U);
  EXPECT_EQ(rows, std::vector<float>(long_rows.begin(), long_rows.begin() + 4 * 57));
  EXPECT_EQ(noise_rows(config, 7, 4, 5),
            std::vector<float>(long_rows.begin() + 4 * 57, long_rows.end()));
  EXPECT_NE(noise_rows(config, 8, 0, 4), rows);
  EXPECT_EQ(rows[48], 0.0F);  // the fundamental begins at 0
  for (std::size_t h = 1; h < 9; ++h) {
    EXPECT_LE(std::fabs(rows[48 + h]), 3.14159274F);
    EXPECT_NE(rows[48 + h], rows[48 + h - 1]);
    EXPECT_EQ(rows[48 + h], rows[width + 48 + h]);
  }
}

// What a request's stops run, with rows that came before.
class HiftStops : public ::testing::Test {
 protected:
  // Returns how many rows have become sound.
  std::int32_t add(std::int32_t first, std::int32_t rows, bool are_last, std::int32_t heard) {
    NewRows fresh;
    fresh.first = first;
    fresh.noise = noise_rows(config_, 1, first, rows);
    fresh.mel.input = step::Input::kept_rows;
    fresh.mel.rows = rows;
    fresh.mel.kept_offset = 12;
    fresh.are_last = are_last;
    fresh.heard = heard;
    fresh.program = 4;
    fresh.first_stop = 7;
    fresh.follows = {2};
    stops_.clear();
    return append_stops(config_, std::move(fresh), stops_);
  }

  const Config config_ = config_of(small_json());
  const std::int32_t halo_ = window_halo(config_);
  std::vector<step::Stop> stops_;
};

TEST_F(HiftStops, KeepNoiseAndRowsAndRunWindowsOfThem) {
  EXPECT_EQ(add(0, 5, true, 0), 5);
  ASSERT_EQ(stops_.size(), 3U);
  for (std::int32_t i = 0; i < 3; ++i)
    EXPECT_EQ(stops_[static_cast<std::size_t>(i)].program, 4 + i);
  EXPECT_EQ(stops_[0].rows.at(0).rows, 5);
  EXPECT_EQ(stops_[1].rows.at(0).kept_offset, 12);
  EXPECT_EQ(stops_[1].follows, (std::vector<std::int32_t>{2}));
  EXPECT_EQ(stops_[2].follows, (std::vector<std::int32_t>{7, 8}));
  EXPECT_EQ(stops_[2].rows.at(0).rows, 6);  // and one beyond
  ASSERT_EQ(stops_[2].windows->size(), 1U);
  EXPECT_EQ(stops_[2].windows->at(0).rows, 6);
  EXPECT_EQ(stops_[2].windows->at(0).emitted_rows, 5);
}

// Windows keep all rows once, in order, with their halo around them where there are rows.
TEST_F(HiftStops, WindowsKeepEachRowOnce) {
  for (const std::int32_t rows : {1, 127, 128, 383, 384, 1000}) {
    ASSERT_EQ(add(0, rows, true, 0), rows);
    std::int32_t kept = 0;
    for (const step::Window& window : *stops_[2].windows) {
      EXPECT_EQ(window.first + window.first_emitted, kept);
      EXPECT_EQ(window.first, std::max(kept - halo_, 0));
      kept += window.emitted_rows;
      EXPECT_EQ(window.first + window.rows, std::min(kept + halo_, rows) + 1);
    }
    EXPECT_EQ(kept, rows);
  }
  EXPECT_EQ(stops_[2].windows->at(0).emitted_rows, 64);
}

TEST_F(HiftStops, WaitForTheirHaloUntilTheLast) {
  EXPECT_EQ(add(0, halo_, false, 0), 0);
  EXPECT_EQ(stops_.size(), 2U);
  EXPECT_EQ(add(halo_, 10, false, 0), 10);
  EXPECT_EQ(stops_[0].position, halo_);
  EXPECT_EQ(stops_[2].windows->at(0).emitted_rows, 10);
  EXPECT_EQ(add(halo_ + 10, 3, true, 10), halo_ + 13);
  EXPECT_EQ(stops_[2].windows->at(0).first + stops_[2].windows->at(0).first_emitted, 10);
  EXPECT_EQ(stops_[2].windows->at(0).emitted_rows, halo_ + 3);
}

TEST_F(HiftStops, CroppedRowsAreSeenAndNotHeard) {
  NewRows fresh;
  fresh.noise = noise_rows(config_, 1, 0, 9);
  fresh.mel.rows = 9;
  fresh.cropped = 2;
  EXPECT_EQ(append_stops(config_, std::move(fresh), stops_), 7);
  EXPECT_EQ(stops_[2].windows->at(0).rows, 10);
  EXPECT_EQ(stops_[2].windows->at(0).emitted_rows, 7);
}

TEST_F(HiftStops, NoiseOfOtherRowsIsAMistake) {
  NewRows other;
  other.noise = noise_rows(config_, 1, 0, 5);
  other.mel.rows = 4;
  EXPECT_TRUE(test::throws_naming<InternalError>(
      "expected noise of 4 rows", [&] { append_stops(config_, std::move(other), stops_); }));
}

TEST(HiftConfig, KnowsItsSizes) {
  const Config config = config_of(small_json());
  EXPECT_EQ(config.frames(), 12);
  EXPECT_EQ(config.samples(), 48);
  EXPECT_EQ(config.stride(0), 3);
  EXPECT_EQ(config.stride(1), 1);
  EXPECT_EQ(config.channels(1), 4);
  EXPECT_DOUBLE_EQ(config.frame_rate(), 50.0);
}

// Of the published sizes, 15 rows and 5 more for the pitch; with fewer upsampled rows for each row,
// the same kernels see further.
TEST(HiftConfig, WindowsNeedWhatTheKernelsSee) {
  Json json = small_json();
  EXPECT_EQ(window_halo(config_of(json)), 36);
  json["dim"] = 512;
  json["rates"] = {8, 5, 3};
  json["kernels"] = {16, 11, 7};
  json["source_kernels"] = {7, 7, 11};
  EXPECT_EQ(window_halo(config_of(json)), 20);
}

TEST(HiftConfig, RefusesByNameWhatCannotBe) {
  const std::pair<const char*, Json> wrong[] = {
      {"mel_bins", 0},          {"dim", 18},
      {"rates", Json::array()}, {"rates", {4, 3, 2}},
      {"rates", {65, 3}},       {"kernels", {8}},
      {"kernels", {8, 8}},      {"kernels", {2, 7}},
      {"chain_kernels", {4}},   {"chain_kernels", Json::array()},
      {"source_kernels", {7}},  {"source_kernels", {7, 8}},
      {"dilations", {0}},       {"n_fft", 8},
      {"harmonics", 0},         {"f0_layers", 0}};
  for (const auto& [key, value] : wrong) {
    Json json = small_json();
    json[key] = value;
    EXPECT_THROW(config_of(json), FormatError) << key << " " << value.dump();
  }
}

}  // namespace
}  // namespace ttsrt::model::hift
