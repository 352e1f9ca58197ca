#include "executor/channel.h"

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include "support/errors.h"

namespace ttsrt {
namespace {

Event event_at(std::int32_t frame, bool is_last = false) {
  Event event;
  event.first_frame = frame;
  event.is_last = is_last;
  return event;
}

Result stopped() {
  Result result;
  result.finish_reason = FinishReason::length;
  return result;
}

TEST(Channel, GivesEventsInOrderThenNothing) {
  Channel channel(5);
  EXPECT_EQ(channel.id(), 5U);
  channel.push(event_at(0));
  channel.push(event_at(1));
  EXPECT_FALSE(channel.is_done());
  channel.finish(event_at(2, true), stopped());
  EXPECT_TRUE(channel.is_done());
  bool timed_out = true;
  for (std::int32_t frame = 0; frame < 3; ++frame)
    EXPECT_EQ(channel.next(std::nullopt, timed_out)->first_frame, frame);
  EXPECT_FALSE(channel.next(std::nullopt, timed_out).has_value());
  EXPECT_FALSE(timed_out);
  EXPECT_EQ(channel.result(std::nullopt)->finish_reason, FinishReason::length);
  EXPECT_EQ(channel.result(0.0)->finish_reason, FinishReason::length);  // as often as one asks
}

TEST(Channel, TimesOut) {
  Channel channel(1);
  bool timed_out = false;
  EXPECT_FALSE(channel.next(0.0, timed_out).has_value());
  EXPECT_TRUE(timed_out);
  EXPECT_FALSE(channel.next(0.005, timed_out).has_value());
  EXPECT_TRUE(timed_out);
  EXPECT_FALSE(channel.result(0.0).has_value());
  for (const double bad : {-1.0, -1e300, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_TRUE(test::throws_naming<ConfigError>("timeout", [&] { channel.result(bad); }));
    EXPECT_THROW(channel.next(bad, timed_out), ConfigError);
  }
}

TEST(Channel, AHugeTimeoutIsForever) {
  for (const double timeout : {9e7, 1e9, 1e300, std::numeric_limits<double>::infinity()}) {
    Channel channel(1);
    std::thread loop([&] { channel.finish(event_at(0, true), stopped()); });
    EXPECT_TRUE(channel.result(timeout).has_value());
    loop.join();
  }
}

TEST(Channel, WakesWhoWaits) {
  Channel channel(1);
  std::thread loop([&] {
    channel.push(event_at(0));
    channel.finish(event_at(1, true), stopped());
  });
  bool timed_out = false;
  EXPECT_EQ(channel.next(std::nullopt, timed_out)->first_frame, 0);
  EXPECT_TRUE(channel.result(std::nullopt).has_value());
  loop.join();
}

TEST(Channel, AnAbandonedOneEndsWithAnError) {
  Channel channel(1);
  channel.push(event_at(0));
  channel.abandon();
  bool timed_out = false;
  EXPECT_TRUE(channel.next(std::nullopt, timed_out).has_value());
  const std::optional<Event> last = channel.next(std::nullopt, timed_out);
  ASSERT_TRUE(last.has_value());
  EXPECT_TRUE(last->is_last);
  EXPECT_EQ(last->finish_reason, FinishReason::error);
  EXPECT_FALSE(channel.next(std::nullopt, timed_out).has_value());
  EXPECT_FALSE(timed_out);
  EXPECT_EQ(channel.result(std::nullopt)->finish_reason, FinishReason::error);
  EXPECT_EQ(channel.result(std::nullopt)->error, "no memory");
}

TEST(Channel, ReportsToAReadyListWhenSomethingArrivesAfterNothing) {
  const auto list = std::make_shared<ReadyList>();
  const auto reported = [&] {
    list->wake();  // so that wait() returns at once
    return list->wait();
  };
  Channel channel(1);
  channel.push(event_at(0));
  channel.report_to(std::make_unique<ReadyList::Entry>(list, 7));
  EXPECT_EQ(reported(), std::vector<std::uint64_t>{7});  // what came before
  channel.push(event_at(1));
  EXPECT_TRUE(reported().empty());  // the first event was not taken yet
  bool timed_out = false;
  while (channel.next(0.0, timed_out)) {
  }
  EXPECT_TRUE(timed_out);
  channel.push(event_at(2));
  EXPECT_EQ(reported(), std::vector<std::uint64_t>{7});
  channel.next(0.0, timed_out);
  channel.finish(event_at(3, true), stopped());
  EXPECT_EQ(reported(), std::vector<std::uint64_t>{7});

  Channel abandoned(2);
  abandoned.report_to(std::make_unique<ReadyList::Entry>(list, 8));
  abandoned.abandon();
  EXPECT_EQ(reported(), std::vector<std::uint64_t>{8});
}

TEST(Channel, ReportsItsEndOnceToThoseWhoWaitForIt) {
  const auto list = std::make_shared<ReadyList>();
  const auto reported = [&] {
    list->wake();
    return list->wait();
  };
  Channel channel(1);
  channel.report_to(std::make_unique<ReadyList::Entry>(list, 7), Watch::end);
  channel.report_to(std::make_unique<ReadyList::Entry>(list, 8), Watch::end);
  channel.report_to(std::make_unique<ReadyList::Entry>(list, 9), Watch::events);
  channel.report_to(std::make_unique<ReadyList::Entry>(list, 9), Watch::end);  // replaces it
  channel.push(event_at(0));
  EXPECT_TRUE(reported().empty());
  channel.stop_reporting_to(*list, 8);
  channel.finish(event_at(1, true), stopped());  // no event was taken
  EXPECT_EQ(reported(), (std::vector<std::uint64_t>{7, 9}));
  bool timed_out = false;
  while (channel.next(0.0, timed_out)) {
  }
  EXPECT_TRUE(reported().empty());
  channel.report_to(std::make_unique<ReadyList::Entry>(list, 10), Watch::end);
  EXPECT_EQ(reported(), std::vector<std::uint64_t>{10});
}

TEST(Channel, ReportsToSeveralLists) {
  const auto one = std::make_shared<ReadyList>();
  const auto other = std::make_shared<ReadyList>();
  Channel channel(1);
  channel.report_to(std::make_unique<ReadyList::Entry>(one, 7));
  channel.report_to(std::make_unique<ReadyList::Entry>(other, 7));
  channel.push(event_at(0));
  EXPECT_EQ(one->wait(), std::vector<std::uint64_t>{7});
  EXPECT_EQ(other->wait(), std::vector<std::uint64_t>{7});
}

TEST(Channel, StopsReportingToTheNamedListOnly) {
  const auto list = std::make_shared<ReadyList>();
  Channel channel(1);
  channel.report_to(std::make_unique<ReadyList::Entry>(list, 7));
  channel.stop_reporting_to(ReadyList());
  channel.push(event_at(0));
  EXPECT_EQ(list->wait(), std::vector<std::uint64_t>{7});
  channel.stop_reporting_to(*list);
  bool timed_out = false;
  channel.next(0.0, timed_out);
  channel.push(event_at(1));
  list->wake();
  EXPECT_TRUE(list->wait().empty());
}

TEST(Ticketed, DroppingTheLastCancels) {
  const auto channel = make_channel(1);
  auto ticketed = std::make_shared<Ticketed>(channel);
  auto copy = ticketed;
  ticketed.reset();
  EXPECT_FALSE(channel->is_cancelled());
  copy.reset();
  EXPECT_TRUE(channel->is_cancelled());
}

TEST(Handle, AnEmptyOneSaysSo) {
  Handle handle;
  EXPECT_TRUE(test::throws_naming<ConfigError>("submit()", [&] { handle.next(); }));
  EXPECT_THROW(handle.result(), ConfigError);
  EXPECT_THROW(handle.cancel(), ConfigError);
  EXPECT_THROW(handle.is_done(), ConfigError);
  EXPECT_THROW(handle.id(), ConfigError);
}

}  // namespace
}  // namespace ttsrt
