#include "core/process.h"

#include <gtest/gtest.h>

#include "support/errors.h"
#include "support/fork.h"

namespace ttsrt {
namespace {

struct Counted {
  explicit Counted(int* counter) : deleted(counter) {}
  ~Counted() { ++*deleted; }
  int* deleted;
};

TEST(HomeProcess, IsTheOneThatMadeIt) {
  const HomeProcess home;
  EXPECT_TRUE(home.is_here());
  EXPECT_NO_THROW(home.check("submit"));
}

TEST(HomeProcess, AChildSaysWhoseItIs) {
  const HomeProcess home;
  EXPECT_TRUE(test::holds_in_child([&] {
    return !home.is_here() &&
           test::throws_naming<ClosedError>(
               "run: this OpBench belongs to process " + std::to_string(getppid()),
               [&] { home.check("run", "OpBench"); });
  }));
}

TEST(HomeProcess, AnObjectIsDeletedAtHomeAlone) {
  int deleted = 0;
  auto object = make_shared_at_home<Counted>(&deleted);
  EXPECT_TRUE(test::holds_in_child([&] {
    object.reset();
    return deleted == 0;
  }));
  object.reset();
  EXPECT_EQ(deleted, 1);
}

}  // namespace
}  // namespace ttsrt
