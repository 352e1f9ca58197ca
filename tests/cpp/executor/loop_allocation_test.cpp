// A warm step asks for no memory from its plan to its commit, with one launch in flight or two.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "executor/loop.h"
#include "support/allocations.h"
#include "support/loop_rig.h"

namespace ttsrt::executor {
namespace {

// Runs each launch at once, on the loop's own thread, and asks for no memory itself. At the begin
// of every launch it notes how often the loop's thread has asked for some.
class QuietNetwork final : public model::Network {
 public:
  static constexpr std::size_t kMost = 1 << 12;

  explicit QuietNetwork(std::int32_t depth) {
    info_.device = "quiet";
    info_.pipeline_depth = depth;
    info_.slots = 3;
    info_.num_blocks = 200;
    info_.block_size = 4;
    info_.programs = test::small_programs();
    info_.facts = test::small_facts();
    info_.facts.max_seq_len = 200;
    for (step::StepOutput& output : outputs_) {
      output.draws.reserve(8);
      output.codes.reserve(64);
      output.scores.reserve(512);
      output.seconds.assign(info_.programs.size(), 0.0);
    }
  }

  const model::NetworkInfo& info() const override { return info_; }

  // Lets launches run, once all requests wait.
  void open() { is_open_.store(true); }

  model::Ticket launch(const step::StepBatch& batch) override {
    while (!is_open_.load()) std::this_thread::yield();
    const std::size_t index = launches_.load();
    if (index < kMost) seen_[index] = test::num_allocations();
    launches_ = index + 1;
    step::StepOutput& output = outputs_[++ticket_ % 2];
    output.draws.clear();
    output.codes.clear();
    for (const step::Draw& draw : batch.programs[test::kDecode].draws) {
      output.draws.push_back({draw.slot, -1, -1});
      for (std::int32_t c = 0; c < info_.facts.stack_codes(); ++c) output.codes.push_back(c);
    }
    return ticket_;
  }
  const step::StepOutput& collect(model::Ticket ticket) override { return outputs_[ticket % 2]; }

  // Allocations between launches `first` and `last`.
  std::uint64_t between(std::size_t first, std::size_t last) const {
    return seen_[last] - seen_[first];
  }
  std::size_t num_launches() const { return launches_; }

 private:
  model::NetworkInfo info_;
  step::StepOutput outputs_[2];
  model::Ticket ticket_ = 0;
  std::atomic<bool> is_open_{false};
  std::atomic<std::size_t> launches_{0};
  std::vector<std::uint64_t> seen_ = std::vector<std::uint64_t>(kMost);
};

class LoopAllocation : public ::testing::TestWithParam<std::int32_t> {};

TEST_P(LoopAllocation, NoneInAWarmStep) {
  if (!test::counts_allocations()) GTEST_SKIP() << "a sanitizer brings its own operator new";
  auto network = std::make_unique<QuietNetwork>(GetParam());
  QuietNetwork& quiet = *network;
  step::Facts facts = network->info().facts;
  const model::magpie::Itineraries itineraries(test::small_model(facts));
  const VoiceBook voices(itineraries, test::small_voices());
  std::vector<std::unique_ptr<model::Network>> networks;
  networks.push_back(std::move(network));
  Replicas loop(std::move(networks), {.max_queue_size = 8, .iter_stats_max_iterations = 16});
  std::vector<std::shared_ptr<Channel>> channels;
  for (std::uint64_t id = 1; id <= 3; ++id) {
    Request request = test::request_of(id, 150);
    request.chunk_frames = 1000;  // an event is its receiver's
    if (id > 1) request.cfg_scale = 2.0F;
    Pending pending;
    pending.request = prepare(std::move(request), itineraries, voices);
    pending.channel = make_channel(id);
    pending.submitted = Clock::now();
    channels.push_back(pending.channel);
    loop.submit(std::move(pending));
  }
  quiet.open();
  for (const auto& channel : channels) {
    EXPECT_EQ(channel->result(std::nullopt)->finish_reason, FinishReason::length);
  }
  // The first launches are cold; requests that start or end allocate for themselves. Between them
  // lie steps of one to three requests.
  ASSERT_GE(quiet.num_launches(), 150U);
  EXPECT_EQ(quiet.between(60, 140), 0U);
}

INSTANTIATE_TEST_SUITE_P(Depths, LoopAllocation, ::testing::Values(1, 2));

}  // namespace
}  // namespace ttsrt::executor
