#include "core/stop_flag.h"

#include <gtest/gtest.h>

#include <thread>

#include "support/errors.h"

namespace ttsrt {
namespace {

TEST(StopFlag, EndsTheWorkOfItsThreadAlone) {
  std::atomic<bool> stops{true};
  EXPECT_NO_THROW(check_stop());
  {
    const StopScope scope(&stops);
    EXPECT_TRUE(test::throws_naming<ClosedError>("stopped", check_stop));
    std::thread([] { EXPECT_NO_THROW(check_stop()); }).join();
    {
      const StopScope inner(nullptr);
      EXPECT_NO_THROW(check_stop());
    }
    EXPECT_THROW(check_stop(), ClosedError);
    stops = false;
    EXPECT_NO_THROW(check_stop());
  }
  stops = true;
  EXPECT_NO_THROW(check_stop());
}

}  // namespace
}  // namespace ttsrt
