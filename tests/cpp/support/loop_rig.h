// Loops on FakeNetworks with requests submitted as Executor submits them.
#pragma once

#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "executor/replicas.h"
#include "support/fake_network.h"

namespace ttsrt::test {

// Like a Handle: dropping it cancels.
struct FakeHandle {
  std::shared_ptr<Ticketed> ticketed;

  Result result() const { return *ticketed->channel->result(std::nullopt); }
  std::optional<Event> next() const {
    bool timed_out = false;
    return ticketed->channel->next(std::nullopt, timed_out);
  }
  void cancel() const { ticketed->channel->cancel(); }
  bool is_done() const { return ticketed->channel->is_done(); }
};

class LoopRig {
 public:
  static constexpr executor::LoopOptions kDefaults = {.max_queue_size = 64,
                                                      .iter_stats_max_iterations = 8};

  explicit LoopRig(FakeOptions options = {}, const executor::LoopOptions& loop_options = kDefaults)
      : LoopRig(std::move(options), loop_options, nullptr) {}
  // With other itineraries than those of the small model.
  LoopRig(FakeOptions options, const executor::LoopOptions& loop_options,
          std::unique_ptr<model::Itineraries> other)
      : LoopRig({std::move(options)}, loop_options, controls_of(1), std::move(other)) {}
  ~LoopRig() {  // so that a failed test ends
    for (const auto& each : controls) each->release();
  }

  FakeHandle submit(Request request) {
    executor::Pending pending;
    pending.submitted = executor::Clock::now();
    pending.request = executor::prepare(std::move(request), *itineraries, voices);
    pending.channel = make_channel(++last_id_);
    FakeHandle handle{std::make_shared<Ticketed>(pending.channel)};
    loop.submit(std::move(pending));
    return handle;
  }

  const step::Facts facts;
  const std::vector<std::shared_ptr<Control>> controls;  // [replicas]
  const std::shared_ptr<Control> control;                // of the first replica
  const std::unique_ptr<model::Itineraries> itineraries;
  executor::VoiceBook voices;
  executor::Replicas loop;

 protected:
  LoopRig(const std::vector<FakeOptions>& replicas, const executor::LoopOptions& loop_options,
          std::vector<std::shared_ptr<Control>> the_controls,
          std::unique_ptr<model::Itineraries> other)
      : facts(replicas.front().facts),
        controls(std::move(the_controls)),
        control(controls.front()),
        itineraries(other ? std::move(other)
                          : std::make_unique<model::magpie::Itineraries>(small_model(facts))),
        voices(*itineraries, small_voices()),
        loop(networks_of(replicas, controls), loop_options) {}

  static std::vector<std::shared_ptr<Control>> controls_of(std::size_t count) {
    std::vector<std::shared_ptr<Control>> all;
    while (all.size() < count) all.push_back(std::make_shared<Control>());
    return all;
  }

 private:
  static std::vector<std::unique_ptr<model::Network>> networks_of(
      const std::vector<FakeOptions>& options,
      const std::vector<std::shared_ptr<Control>>& controls) {
    std::vector<std::unique_ptr<model::Network>> all;
    for (std::size_t i = 0; i < options.size(); ++i)
      all.push_back(std::make_unique<FakeNetwork>(options[i], controls[i]));
    return all;
  }

  std::atomic<std::uint64_t> last_id_{0};
};

// With several replicas, each with a Control of its own.
class ReplicaRig : public LoopRig {
 public:
  explicit ReplicaRig(const std::vector<FakeOptions>& replicas,
                      const executor::LoopOptions& loop_options = kDefaults)
      : LoopRig(replicas, loop_options, controls_of(replicas.size()), nullptr) {}
};

// The codes of a request with this seed: frames [0, frames) of small_facts() without stacking.
inline std::vector<std::int32_t> fake_codes(std::uint64_t seed, std::int32_t frames) {
  std::vector<std::int32_t> codes;
  for (std::int32_t step = 0; step < frames; ++step) {
    for (std::int32_t c = 0; c < 2; ++c) codes.push_back(fake_code(seed, step, c));
  }
  return codes;
}

// A request for so many frames.
inline Request request_of(std::uint64_t seed, std::int32_t frames) {
  Request request = small_request(seed);
  request.max_frames = frames;
  return request;
}

}  // namespace ttsrt::test
