#include "core/start_thread.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <system_error>

#include "support/errors.h"

namespace ttsrt {
namespace {

TEST(StartThread, RunsTheWork) {
  bool has_run = false;
  start_thread("test", [&] { has_run = true; }).join();
  EXPECT_TRUE(has_run);
}

// A thread that the system can't give: what std::thread throws then.
struct Refused {
  Refused() = default;
  Refused(const Refused& /*other*/) { throw std::system_error(EAGAIN, std::generic_category()); }
  void operator()() const {}
};

TEST(StartThread, ASystemWithoutThreadsIsACapacityError) {
  EXPECT_TRUE(test::throws_naming<CapacityError>("loop: the system gave no thread: ",
                                                 [] { start_thread("loop", Refused()).join(); }));
}

}  // namespace
}  // namespace ttsrt
