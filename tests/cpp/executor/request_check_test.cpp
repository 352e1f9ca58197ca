#include "executor/request_check.h"

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "support/errors.h"
#include "support/facts.h"
#include "support/itineraries.h"

namespace ttsrt::executor {
namespace {

using test::prepared;
using test::small_model;
using test::small_request;
using test::throws_naming;

TEST(Prepare, KeepsWhatConcernsWaitingAndStreaming) {
  Request request = small_request(9);
  request.priority = -4;
  request.chunk_frames = 3;
  request.deadline = 2.5;
  request.return_alignment = true;
  const PreparedRequest ready = prepared(request, small_model());
  EXPECT_EQ(ready.itinerary.stops.size(), 3U);
  EXPECT_EQ(ready.itinerary.rules.sampler.seed, 9U);
  EXPECT_EQ(ready.priority, -4);
  EXPECT_EQ(ready.chunk_frames, 3);
  EXPECT_EQ(ready.deadline, 2.5);
  EXPECT_TRUE(ready.return_alignment);
  EXPECT_FALSE(prepared(small_request(), small_model()).deadline.has_value());
}

TEST(Prepare, RowsMayBeOnTheDeviceThatRunsThem) {
  const auto owner = std::make_shared<float>();
  Request request;
  check_places(request, "cpu");
  request.encoder_output = InputRows::on_gpu(1, owner, 1, 1);
  check_places(request, "cuda:1");
  EXPECT_TRUE(throws_naming<ConfigError>(
      "encoder_output: expected rows in the memory of the host or of cuda:0, as this executor runs "
      "on cuda:0, got rows in the memory of cuda:1; copy them first",
      [&] { check_places(request, "cuda:0"); }));
  EXPECT_TRUE(throws_naming<ConfigError>("in the memory of the host, as this executor runs on cpu",
                                         [&] { check_places(request, "cpu"); }));
  EXPECT_TRUE(throws_naming<ConfigError>(
      "in the memory of the host, as this executor runs on cuda:1,cuda:2, got rows",
      [&] { check_places(request, "cuda:1,cuda:2"); }));
  InputRows Request::* const fields[] = {&Request::text_features, &Request::encoder_output,
                                         &Request::context_embeddings, &Request::prompt_embeddings,
                                         &Request::unconditional_embeddings};
  for (InputRows Request::* const field : fields) {
    Request other;
    other.*field = InputRows::on_gpu(0, owner, 1, 1);
    EXPECT_THROW(check_places(other, "reference"), ConfigError);
  }
}

struct Refusal {
  const char* part;
  void (*change)(Request&);
};

const Refusal kRefusals[] = {
    {"chunk_frames", [](Request& of) { of.chunk_frames = 0; }},
    {"chunk_frames", [](Request& of) { of.chunk_frames = INT32_MAX; }},
    {"deadline", [](Request& of) { of.deadline = 0.0; }},
    {"deadline", [](Request& of) { of.deadline = -1.0; }},
    {"deadline", [](Request& of) { of.deadline = std::numeric_limits<double>::quiet_NaN(); }},
    {"deadline", [](Request& of) { of.deadline = std::numeric_limits<double>::infinity(); }},
};

TEST(Prepare, RefusesByName) {
  for (const Refusal& refusal : kRefusals) {
    Request request = small_request();
    refusal.change(request);
    EXPECT_TRUE(
        throws_naming<ConfigError>(refusal.part, [&] { prepared(request, small_model()); }));
  }
}

// A family that gives what it is told to, whatever the request.
class FixedItineraries final : public model::Itineraries {
 public:
  explicit FixedItineraries(std::vector<step::Stop> stops) { itinerary_.stops = std::move(stops); }

  step::Itinerary itinerary(Request&&, const model::VoiceFinder&) const override {
    return itinerary_;
  }
  model::Voice voice_of_vectors(Matrix<float>&&) const override { return {}; }
  model::Voice voice_of_codes(Matrix<std::int32_t>&&) const override { return {}; }

 private:
  step::Itinerary itinerary_;
};

PreparedRequest prepare_stops(std::vector<step::Stop> stops) {
  const FixedItineraries itineraries(std::move(stops));
  const VoiceBook voices(itineraries, {});
  return prepare(Request{}, itineraries, voices);
}

TEST(Prepare, WalkableItinerariesPass) {
  EXPECT_EQ(prepare_stops(test::sound_request(5, 1).itinerary.stops).itinerary.stops.size(), 3U);
  EXPECT_EQ(prepare_stops(std::vector<step::Stop>(step::kMaxStops)).itinerary.stops.size(), 18U);
}

// A family that writes what nobody could run is told so at once, not by a request that never ends.
TEST(Prepare, AMalformedItineraryIsTheFamilysFault) {
  struct Case {
    const char* part;
    void (*change)(std::vector<step::Stop>&);
  };
  const Case cases[] = {
      {"1 to 18 stops, got 0", [](auto& of) { of.clear(); }},
      {"1 to 18 stops, got 19", [](auto& of) { of.resize(19); }},
      {"stop 1 follows stop 3, expected", [](auto& of) { of[1].follows = {3}; }},
      {"stop 1 follows stop -1, expected", [](auto& of) { of[1].follows = {-1}; }},
      {"stop 2 follows stop 2, expected", [](auto& of) { of[2].follows = {0, 2}; }},
      {"stop 0 follows stop 1, expected", [](auto& of) { of[0].follows = {1}; }},  // a circle
      {"stop 0 is malformed", [](auto& of) { of[0].program = -1; }},
      {"stop 1 is malformed", [](auto& of) { of[1].repeats = 0; }},
      {"stop 0 is malformed", [](auto& of) { of[0].replays = 3; }},
      {"stop 2 is malformed", [](auto& of) { of[2].reads = 3; }},
      {"stop 1 is malformed", [](auto& of) { of[1].num_branches = 0; }},
      {"stop 1 is malformed", [](auto& of) { of[1].num_branches = 3; }},
  };
  for (const Case& of : cases) {
    std::vector<step::Stop> stops = test::sound_request(5, 1).itinerary.stops;
    of.change(stops);
    EXPECT_TRUE(throws_naming<InternalError>(of.part, [&] { prepare_stops(stops); })) << of.part;
  }
}

}  // namespace
}  // namespace ttsrt::executor
