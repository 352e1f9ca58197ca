// A warm step from its plan to its commit asks for no memory: what the loop does on the host, piece
// by piece, for requests of every kind. (loop_allocation_test.cpp counts the whole loop's.)
#include <gtest/gtest.h>

#include <array>

#include "support/allocations.h"
#include "support/itineraries.h"
#include "support/sequences.h"

namespace ttsrt::executor {
namespace {

using test::Launch;

// Allocations of each piece, over all launches.
struct Counted {
  std::uint64_t plan = 0;
  std::uint64_t build = 0;
  std::uint64_t commit = 0;
};

class WarmStep : public ::testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override {
    if (!test::counts_allocations()) GTEST_SKIP() << "a sanitizer brings its own operator new";
  }

  // Launches with as many in flight as the parameter says; the output is given, not made.
  Counted run(test::Sequencer& at, int launches) {
    Counted counted;
    const std::size_t depth = GetParam();
    for (int i = 0; i < launches; ++i) {
      while (open_ < depth && launch(at, flights_[(oldest_ + open_) % depth], counted)) ++open_;
      const Launch& done = flights_[oldest_];
      const step::StepOutput output = test::output_of(done.batch, at.facts);
      const std::uint64_t before = test::num_allocations();
      at.commit(done, output);
      counted.commit += test::num_allocations() - before;
      oldest_ = (oldest_ + 1) % depth;
      --open_;
    }
    return counted;
  }

  static Request quiet(std::uint64_t seed) {
    Request request = test::small_request(seed);
    request.chunk_frames = 1000;  // an event is its receiver's
    request.max_frames = 60;
    return request;
  }

 private:
  static bool launch(test::Sequencer& at, Launch& into, Counted& counted) {
    const std::uint64_t before = test::num_allocations();
    at.plan(into.plan);
    const std::uint64_t planned = test::num_allocations();
    if (into.plan.is_empty()) return false;
    build_batch(into.plan, at.slots, at.site, into.batch);
    counted.build += test::num_allocations() - planned;
    counted.plan += planned - before;
    at.book(into.plan);
    return true;
  }

  std::array<Launch, 2> flights_;
  std::size_t oldest_ = 0;
  std::size_t open_ = 0;
};

TEST_P(WarmStep, OfDecodersInBothBranches) {
  test::Sequencer at(test::small_facts(), test::small_programs(), 200);
  at.add(quiet(1));
  Request guided = quiet(2);
  guided.cfg_scale = 2.0F;
  guided.return_alignment = true;
  at.add(guided);
  at.add(guided);
  const Counted cold = run(at, 5);
  EXPECT_GT(cold.build, 0U);  // the counter counts
  const Counted warm = run(at, 40);
  EXPECT_EQ(warm.plan, 0U);
  EXPECT_EQ(warm.build, 0U);
  EXPECT_EQ(warm.commit, 0U);
  EXPECT_GE(at.slots[0]->steps(), 40);
}

// A round begins on memory of its own; its steps ask for none.
TEST_P(WarmStep, OfATextInChunks) {
  test::Sequencer at(test::small_facts(), test::small_programs(), 200);
  model::magpie::Facts model = test::small_model(at.facts);
  model.rules.max_frames = 45;
  Request request = quiet(1);
  request.text_ids = {1, 2, 3, 4, 5, 6, 7};
  request.text_chunks = {4, 3};
  request.max_frames = 90;
  request.return_positions = true;
  request.return_alignment = true;
  at.add(request, model);
  run(at, 5);
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(at.slots[0]->round, round);
    const Counted warm = run(at, 30);
    EXPECT_EQ(warm.plan, 0U);
    EXPECT_EQ(warm.build, 0U);
    EXPECT_EQ(warm.commit, 0U);
    while (at.slots[0]->round == 0) run(at, 1);
    run(at, 3);
  }
  EXPECT_GE(at.slots[0]->steps(), 70);
}

TEST_P(WarmStep, OfAReplayThatGrows) {
  test::Sequencer at(test::small_facts(), test::small_programs(), 200);
  at.facts.max_rows = 16;  // the replay is spread over more and more launches
  Request request = quiet(1);
  request.use_default_prior = false;
  request.prior = AttentionPrior{};
  request.prior->recompute = true;
  at.add(request);
  run(at, 12);
  const Counted warm = run(at, 80);
  EXPECT_EQ(warm.plan, 0U);
  EXPECT_EQ(warm.build, 0U);
  EXPECT_EQ(warm.commit, 0U);
  EXPECT_GE(at.slots[0]->steps(), 30);
}

TEST_P(WarmStep, OfStopsThatReadFrames) {
  test::Sequencer at(test::small_facts(), test::sound_programs(), 200);
  executor::PreparedRequest request = test::sound_request(60, 2);
  request.chunk_frames = 1000;
  at.start(std::move(request));
  run(at, 8);
  const Counted warm = run(at, 40);
  EXPECT_EQ(warm.plan, 0U);
  EXPECT_EQ(warm.build, 0U);
  EXPECT_EQ(warm.commit, 0U);
  EXPECT_GE(at.slots[0]->progress_of(2).committed_rows, 40);
}

TEST_P(WarmStep, OfEvaluationsOfWholeItems) {
  test::Sequencer at(test::small_facts(), test::flow_programs(3), 200);
  at.start(test::flow_request(5, 60));
  at.start(test::flow_request(4, 60));
  run(at, 4);
  const Counted warm = run(at, 40);
  EXPECT_EQ(warm.plan, 0U);
  EXPECT_EQ(warm.build, 0U);
  EXPECT_EQ(warm.commit, 0U);
}

INSTANTIATE_TEST_SUITE_P(Depths, WarmStep, ::testing::Values(1, 2));

}  // namespace
}  // namespace ttsrt::executor
