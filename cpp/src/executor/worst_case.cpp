#include "executor/worst_case.h"

#include <algorithm>
#include <vector>

namespace ttsrt::executor {
namespace {

std::int32_t blocks_for(std::int32_t positions, std::int32_t block_size) {
  return (positions + block_size - 1) / block_size;
}

// Raises `positions` of both branches to those that a stop reaches.
void reach(const step::Stop& stop, const Site& site, std::int32_t (&positions)[2]) {
  const bool is_step = site.program(stop).pace == step::Pace::stepwise;
  const std::int32_t steps = stop.block_rows > 0 ? stop.block_frames : stop.repeats;
  const std::int32_t end = stop.position + (is_step ? steps : rows_in(stop.rows));
  std::int32_t& most = positions[index_of(stop.branch)];
  most = std::max(most, end);
  if (stop.num_branches > 1) positions[1] = std::max(positions[1], end);
}

}  // namespace

std::int32_t worst_case(const PreparedRequest& request, const Site& site, std::int32_t block_size) {
  std::int32_t positions[2] = {0, 0};
  std::int32_t blocks = 0;
  std::int32_t shared = 0;
  const std::vector<step::Stop>& stops = request.itinerary.stops;
  for (const step::Stop& stop : stops) {
    if (!site.program(stop).uses_cache) continue;
    reach(stop, site, positions);
    if (!stop.shared.has_value()) continue;
    shared += shared_blocks(stop, block_size);
    const bool is_first = std::none_of(
        stops.data(), &stop, [&](const step::Stop& other) { return other.shared == stop.shared; });
    if (is_first) blocks += blocks_for(stop.shared->rows, block_size);
  }
  for (const step::Round& round : request.itinerary.rounds.all) {
    if (round.beginning == nullptr) continue;
    for (const auto& [index, stop] : round.beginning->stops) {
      if (site.program(stop).uses_cache) reach(stop, site, positions);
    }
  }
  for (const std::int32_t of : positions) blocks += blocks_for(of, block_size);
  return blocks - shared;
}

std::int32_t shared_blocks(const step::Stop& stop, std::int32_t block_size) {
  if (!stop.shared.has_value()) return 0;
  const std::int32_t forked = stop.forked_rows > 0 ? stop.forked_rows : stop.shared->rows;
  return forked / block_size;
}

}  // namespace ttsrt::executor
