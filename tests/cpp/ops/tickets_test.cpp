#include "ops/tickets.h"

#include <gtest/gtest.h>

#include "ttsrt/error.h"

namespace ttsrt::ops {
namespace {

TEST(Tickets, AsManyAsTheDepthAndInOrder) {
  Tickets tickets(2);
  EXPECT_THROW(tickets.take(1), InternalError);
  const Ticket first = tickets.give();
  const Ticket second = tickets.give();
  EXPECT_EQ(tickets.outstanding(), 2);
  EXPECT_THROW(tickets.give(), InternalError);
  EXPECT_THROW(tickets.take(second), InternalError);
  tickets.take(first);
  EXPECT_THROW(tickets.take(first), InternalError);
  const Ticket third = tickets.give();
  tickets.take(second);
  tickets.take(third);
  EXPECT_EQ(tickets.outstanding(), 0);
  EXPECT_THROW(tickets.take(third + 1), InternalError);
}

}  // namespace
}  // namespace ttsrt::ops
