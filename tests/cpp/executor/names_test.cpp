#include <gtest/gtest.h>

#include "ttsrt/request.h"

namespace ttsrt {
namespace {

TEST(FinishReasons, HaveNames) {
  EXPECT_STREQ(name_of(FinishReason::stop), "stop");
  EXPECT_STREQ(name_of(FinishReason::length), "length");
  EXPECT_STREQ(name_of(FinishReason::cancelled), "cancelled");
  EXPECT_STREQ(name_of(FinishReason::deadline), "deadline");
  EXPECT_STREQ(name_of(FinishReason::error), "error");
}

}  // namespace
}  // namespace ttsrt
