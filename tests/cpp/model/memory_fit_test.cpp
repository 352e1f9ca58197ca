#include "model/memory_fit.h"

#include <gtest/gtest.h>

#include "model/engine_data.h"
#include "support/device_backend.h"
#include "support/errors.h"
#include "support/tiny_engine.h"

namespace ttsrt::model {
namespace {

using test::throws_naming;

constexpr std::size_t kMiB = std::size_t{1} << 20;

CacheRoom room_of(std::size_t free_mib, std::size_t others_mib) {
  CacheRoom room;
  room.device = "cuda:3";
  room.free = free_mib * kMiB;
  room.others = others_mib * kMiB;
  room.block_bytes = 2 * kMiB;
  room.wanted = 100;
  room.least = 10;
  return room;
}

TEST(MemoryFit, AFractionOfWhatTheOthersLeave) {
  EXPECT_EQ(fitting_blocks(room_of(200, 100), 1.0), 50);
  EXPECT_EQ(fitting_blocks(room_of(200, 100), 0.5), 25);
  EXPECT_EQ(fitting_blocks(room_of(200, 100), 0.39), 19);   // whole blocks
  EXPECT_EQ(fitting_blocks(room_of(1000, 100), 0.9), 100);  // no more than are wanted
  EXPECT_EQ(fitting_blocks(room_of(~std::size_t{0} / kMiB, 0), 1.0), 100);
  EXPECT_EQ(fitting_blocks(room_of(120, 100), 1.0), 10);  // just enough for one request
}

TEST(MemoryFit, TooLittleForOneRequestNamesTheNumbers) {
  for (const char* part :
       {"kv_cache_free_gpu_mem_fraction: 0.5 of 30 MiB is less than the 20 MiB",
        "cuda:3 has 130 MiB free", "everything but the cache takes 100 MiB", "raise the fraction",
        "lower max_batch_size", "max_num_tokens", "kv_cache_dtype"}) {
    EXPECT_TRUE(throws_naming<CapacityError>(part, [] { fitting_blocks(room_of(130, 100), 0.5); }));
  }
  EXPECT_THROW(fitting_blocks(room_of(100, 130), 1.0), CapacityError);  // nothing is left
  CacheRoom small = room_of(130, 100);
  small.wanted = 7;  // max_tokens_in_paged_kv_cache asks for less than one request may need
  EXPECT_EQ(fitting_blocks(small, 0.5), 7);
}

TEST(MemoryFit, AllOfItMustFit) {
  ops::MemoryUse use;
  use.weights = 500 * kMiB;
  use.kv_cache = 300 * kMiB;
  use.cross_memory = 40 * kMiB;
  use.slots = 1;
  use.activations = 30 * kMiB;
  use.scratch = 20 * kMiB;
  check_fits("cuda:0", use, use.total());
  for (const char* part :
       {"device cuda:0: the executor takes 891 MiB", "weights 500 MiB", "keys and values 300 MiB",
        "texts and slots 41 MiB", "activations 30 MiB", "scratch 20 MiB", "only 890 MiB are free",
        "lower max_batch_size", "kv_cache_free_gpu_mem_fraction"})
    EXPECT_TRUE(throws_naming<CapacityError>(part, [&] { check_fits("cuda:0", use, 890 * kMiB); }));
}

TEST(MemoryFit, ValuesThatOptionsCantHave) {
  check_cache_limits(0, std::nullopt);
  check_cache_limits(7, 1.0);
  EXPECT_TRUE(throws_naming<ConfigError>("max_tokens_in_paged_kv_cache",
                                         [] { check_cache_limits(-1, std::nullopt); }));
  for (const double wrong : {0.0, -0.5, 1.01, std::numeric_limits<double>::quiet_NaN()})
    EXPECT_TRUE(throws_naming<ConfigError>("kv_cache_free_gpu_mem_fraction: expected more than 0",
                                           [&] { check_cache_limits(0, wrong); }));
}

class FittedState : public ::testing::Test {
 protected:
  FittedState() : programs_(data_.family->programs(data_.weights, data_.limits, false)) {
    for (const FamilyProgram& of : programs_) {
      const auto index = static_cast<std::int32_t>(sized_.size());
      sized_.push_back(
          {&of.program, {of.max_rows, of.max_draws, false, false, index, of.max_segments}});
    }
  }

  ops::StateSpec fit(std::optional<std::size_t> free, std::optional<double> fraction,
                     std::int32_t positions = 0,
                     std::optional<std::size_t> part = std::nullopt) const {
    const test::DeviceBackend backend(free);
    return fitted_state(*data_.family, data_.limits, {DType::float32, positions}, {fraction, part},
                        backend, sized_);
  }

  test::TinyEngine engine_;
  const EngineData data_{engine_.path()};
  const std::vector<FamilyProgram> programs_;
  std::vector<ops::SizedProgram> sized_;
};

TEST_F(FittedState, TheSmallerLimitCounts) {
  const std::int32_t all = fit(std::nullopt, std::nullopt).num_blocks;
  EXPECT_EQ(fit(std::size_t{1}, std::nullopt).num_blocks, all);  // without a fraction as it was
  const test::DeviceBackend backend(std::size_t{0});
  const ops::StateSpec state = data_.family->state(data_.limits, {});
  const ops::MemoryUse use = backend.memory_use(state, sized_);
  const std::size_t half = use.total() - use.kv_cache + use.kv_cache / 2;
  EXPECT_EQ(fit(use.total(), 1.0).num_blocks, all);
  EXPECT_EQ(fit(half, 1.0).num_blocks, all / 2);
  EXPECT_EQ(fit(half, 0.5).num_blocks, all / 4);
  EXPECT_EQ(fit(half, 1.0, 33).num_blocks, 3);
  const std::int32_t tokens = all * ops::kBlockSize;
  EXPECT_EQ(fit(half, 1.0, tokens).num_blocks, all / 2);
  EXPECT_THROW(fit(half, 0.01), CapacityError);
  EXPECT_EQ(fit(2 * half, 1.0, 0, half).num_blocks, all / 2);  // of two replicas on the device
  EXPECT_EQ(fit(half, 1.0, 0, 2 * half).num_blocks, all / 2);  // others took some of its part
}

TEST_F(FittedState, NeedsADeviceWithMemoryOfItsOwn) {
  EXPECT_TRUE(throws_naming<ConfigError>(
      "kv_cache_free_gpu_mem_fraction: expected none on device \"reference\"",
      [&] { fit(std::nullopt, 0.5); }));
}

}  // namespace
}  // namespace ttsrt::model
