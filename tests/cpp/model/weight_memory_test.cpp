#include "model/weight_memory.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <optional>
#include <thread>
#include <vector>

#include "support/errors.h"
#include "support/temp_dir.h"

namespace ttsrt::model {
namespace {

using test::throws_naming;

class WeightMemoryTest : public ::testing::Test {
 protected:
  WeightMemoryTest() {
    test::write_file(path_, std::string(100, 'a') + std::string(9000, 'b'));
    file_.emplace(path_);
    memory_ = std::make_shared<WeightMemory>(*file_);
  }

  test::TempDir folder_;
  const std::string path_ = folder_.file("weights");
  std::optional<InputFile> file_;
  std::shared_ptr<WeightMemory> memory_;
};

TEST_F(WeightMemoryTest, IsFilledWhileItIsInUse) {
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory_->data()) % (2U << 20), 0U);
  auto first = memory_->use(*file_);
  EXPECT_EQ(std::memcmp(memory_->data() + 99, "ab", 2), 0);
  std::filesystem::resize_file(path_, 10);
  auto second = memory_->use(*file_);  // shares what the first one read
  first.reset();
  EXPECT_EQ(std::memcmp(memory_->data() + 99, "ab", 2), 0);
  EXPECT_EQ(memory_->data()[9099], std::byte{'b'});
  second.reset();
  EXPECT_TRUE(throws_naming<FormatError>(path_ + ": changed while it was in use",
                                         [&] { memory_->use(*file_); }));
}

TEST_F(WeightMemoryTest, UsersOutliveTheirMaker) {
  const auto user = memory_->use(*file_);
  const std::byte* data = memory_->data();
  memory_.reset();
  EXPECT_EQ(std::memcmp(data + 99, "ab", 2), 0);
}

TEST_F(WeightMemoryTest, CanBeUsedAgain) {
  memory_->use(*file_).reset();
  const auto again = memory_->use(*file_);
  EXPECT_EQ(std::memcmp(memory_->data() + 99, "ab", 2), 0);
}

TEST_F(WeightMemoryTest, CantBeWritten) {
  const auto user = memory_->use(*file_);
  EXPECT_DEATH(const_cast<std::byte*>(memory_->data())[0] = std::byte{1}, "");
}

TEST_F(WeightMemoryTest, UsersOfManyThreads) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        const auto user = memory_->use(*file_);
        if (std::memcmp(memory_->data() + 99, "ab", 2) != 0) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(WeightMemoryTest, MoreThanTheMachineHas) {
  std::filesystem::resize_file(path_, std::uintmax_t{1} << 43);  // 8 TiB, all of them a hole
  const InputFile huge(path_);
  EXPECT_TRUE(throws_naming<CapacityError>(
      path_, [&] { std::make_shared<WeightMemory>(huge)->use(huge); }));
}

}  // namespace
}  // namespace ttsrt::model
