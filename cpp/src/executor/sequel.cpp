#include "executor/sequel.h"

#include <optional>
#include <utility>
#include <vector>

#include "core/check.h"

namespace ttsrt::executor {
namespace {

step::CodesSoFar codes_of(const Sequence& sequence) {
  step::CodesSoFar codes;
  codes.ids = sequence.stacks.data() + sequence.fed_codes;
  codes.count = sequence.frames;
  codes.round_codes = sequence.chunk_frames.data();
  codes.rounds = static_cast<std::int32_t>(sequence.chunk_frames.size());
  codes.are_all = sequence.stepwise < 0 || sequence.steps_end.has_value();
  return codes;
}

bool is_part_over(const Sequence& sequence) {
  for (std::size_t i = sequence.first_sequel; i < sequence.progress.size(); ++i) {
    if (!sequence.is_committed(static_cast<std::int32_t>(i))) return false;
  }
  return true;
}

}  // namespace

bool begin_part(Sequence& sequence) {
  step::Itinerary& itinerary = sequence.request.itinerary;
  if (!sequence.has_sequel() || !is_part_over(sequence)) return false;
  const step::CodesSoFar codes = codes_of(sequence);
  const std::size_t first = sequence.first_sequel;
  std::optional<std::vector<step::Stop>> stops =
      itinerary.sequel->stops(sequence.part, static_cast<std::int32_t>(first), codes);
  TTSRT_CHECK(InternalError, stops.has_value() || !codes.are_all, "itinerary: part ", sequence.part,
              " waits for more codes than there are");
  if (!stops.has_value()) return false;
  ++sequence.part;
  sequence.is_sequel_over = stops->empty();
  itinerary.stops.resize(first);
  for (step::Stop& stop : *stops) itinerary.stops.push_back(std::move(stop));
  check_stops(itinerary);
  sequence.progress.resize(first);
  sequence.progress.resize(itinerary.stops.size());
  sequence.prefixes.resize(itinerary.stops.size(), nullptr);
  return sequence.is_sequel_over;
}

}  // namespace ttsrt::executor
