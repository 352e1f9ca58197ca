#include "executor/request_check.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/check.h"
#include "executor/sequence.h"

namespace ttsrt::executor {
namespace {

constexpr std::int32_t kMaxChunk = 1 << 20;    // frames
constexpr std::int32_t kMaxSilence = 1 << 25;  // samples, in all of a request
// Frames that wait for others before they become sound: no launch is better for more.
constexpr std::int32_t kMostWaiting = 32;

// Windows are in order, and each is within the stop's rows.
void check_windows(const step::Stop& stop, std::int32_t index) {
  if (stop.windows == nullptr) return;
  const std::int32_t all = rows_in(stop.rows);
  bool fits =
      stop.evaluations == nullptr && stop.windows->size() == static_cast<std::size_t>(stop.repeats);
  for (const step::Window& window : *stop.windows)
    fits &= window.first >= 0 && window.rows >= 1 && window.first + window.rows <= all &&
            window.first_emitted >= 0 && window.emitted_rows >= 0 &&
            window.first_emitted + window.emitted_rows <= window.rows;
  TTSRT_CHECK(InternalError, fits, "itinerary: stop ", index, ": windows of ", all,
              " rows are malformed");
}

}  // namespace

// A family that writes an itinerary the executor can't walk is broken: said once, here.
void check_stops(const step::Itinerary& itinerary) {
  const auto count = static_cast<std::int32_t>(itinerary.stops.size());
  TTSRT_CHECK(InternalError, count >= 1 && count <= step::kMaxStops, "itinerary: expected 1 to ",
              step::kMaxStops, " stops, got ", count);
  for (std::int32_t i = 0; i < count; ++i) {
    const step::Stop& stop = itinerary.stops[static_cast<std::size_t>(i)];
    for (const std::int32_t other : stop.follows)
      TTSRT_CHECK(InternalError, other >= 0 && other < i, "itinerary: stop ", i, " follows stop ",
                  other, ", expected one before it");
    TTSRT_CHECK(InternalError,
                stop.program >= 0 && stop.repeats >= 1 && stop.replays < count &&
                    stop.reads < count && stop.num_branches >= 1 && stop.num_branches <= 2 &&
                    stop.block_rows >= 0 && (stop.block_rows > 0) == (stop.block_frames > 0) &&
                    stop.first_chunk >= 0 && stop.chunk >= 1,
                "itinerary: stop ", i, " is malformed");
    TTSRT_CHECK(InternalError,
                stop.evaluations == nullptr ||
                    stop.evaluations->size() == static_cast<std::size_t>(stop.repeats),
                "itinerary: stop ", i, ": expected ", stop.repeats, " evaluations");
    TTSRT_CHECK(InternalError,
                stop.first_emitted >= 0 && stop.emitted_rows >= 0 &&
                    stop.first_emitted + stop.emitted_rows <= rows_in(stop.rows),
                "itinerary: stop ", i, " emits more rows than it has");
    TTSRT_CHECK(InternalError, !stop.shared || stop.shared->rows == rows_in(stop.rows),
                "itinerary: stop ", i, ": expected a key of ", rows_in(stop.rows), " rows, got ",
                stop.shared ? stop.shared->rows : 0);
    TTSRT_CHECK(InternalError,
                stop.forked_rows >= 0 && stop.forked_rows <= (stop.shared ? stop.shared->rows : 0),
                "itinerary: stop ", i, " forks ", stop.forked_rows, " rows, more than it shares");
    check_windows(stop, i);
  }
}

namespace {

// A round leaves shared prefixes and what follows the steps alone: they are the request's.
void check_beginning(const step::Beginning& beginning, const step::Itinerary& itinerary) {
  const auto count = static_cast<std::int32_t>(itinerary.stops.size());
  for (const auto& [index, stop] : beginning.stops) {
    TTSRT_CHECK(InternalError, index >= 0 && index < count, "itinerary: a round replaces stop ",
                index, " of ", count);
    const step::Stop& before = itinerary.stops[static_cast<std::size_t>(index)];
    TTSRT_CHECK(InternalError,
                stop.program == before.program && stop.branch == before.branch && !stop.shared &&
                    !before.shared && stop.reads < 0 && stop.follows == before.follows &&
                    stop.replays == before.replays && stop.num_branches == before.num_branches,
                "itinerary: a round brings another kind of stop ", index);
  }
}

void check_rounds(const step::Itinerary& itinerary) {
  const step::Rounds& rounds = itinerary.rounds;
  if (rounds.is_empty()) return;
  const auto count = static_cast<std::int32_t>(itinerary.stops.size());
  const bool has_text = rounds.text >= 0 && rounds.ahead >= 0 && rounds.text != rounds.ahead;
  const bool has_none = rounds.text == -1 && rounds.ahead == -1;
  TTSRT_CHECK(InternalError,
              rounds.all.size() + static_cast<std::size_t>(rounds.later) > 1 &&
                  rounds.ids != nullptr && rounds.text < count && rounds.ahead < count &&
                  (has_text || has_none) && rounds.steps >= 1 && rounds.frames >= 1,
              "itinerary: ", rounds.all.size(), " rounds are malformed");
  std::int32_t reached = 0;
  for (const step::Round& round : rounds.all) {
    if (round.beginning != nullptr) check_beginning(*round.beginning, itinerary);
    TTSRT_CHECK(InternalError,
                round.rows > round.history && round.first + round.history == reached &&
                    round.rows <= itinerary.text_len,
                "itinerary: a round of ids ", round.first, " to ", round.first + round.rows,
                " does not go on behind id ", reached);
    reached = round.first + round.rows;
  }
  TTSRT_CHECK(InternalError, static_cast<std::size_t>(reached) == rounds.ids->size(),
              "itinerary: rounds of ", reached, " ids, expected ", rounds.ids->size());
}

void check_silences(const step::Itinerary& itinerary) {
  const std::vector<std::int32_t>& silences = itinerary.silences;
  if (silences.empty()) return;
  const std::size_t chunks = std::max<std::size_t>(itinerary.rounds.all.size(), 1);
  TTSRT_CHECK(ConfigError, silences.size() == chunks + 1, "text_silences: expected ", chunks + 1,
              " numbers of samples, in front of each chunk and behind the last, got ",
              silences.size());
  std::int32_t left = kMaxSilence;
  for (std::size_t i = 0; i < silences.size(); ++i) {
    TTSRT_CHECK(ConfigError, silences[i] >= 0 && silences[i] <= left, "text_silences[", i,
                "]: expected 0 or more samples, and at most ", kMaxSilence, " in all, got ",
                silences[i]);
    left -= silences[i];
  }
}

void check_chunk(const char* name, std::int32_t frames) {
  TTSRT_CHECK(ConfigError, frames >= 1 && frames <= kMaxChunk, name, ": expected 1 to ", kMaxChunk,
              ", got ", frames);
}

}  // namespace

void check_places(const Request& request, const std::string& device) {
  const std::pair<const char*, const InputRows*> all[] = {
      {"text_features", &request.text_features},
      {"encoder_output", &request.encoder_output},
      {"context_embeddings", &request.context_embeddings},
      {"prompt_embeddings", &request.prompt_embeddings},
      {"unconditional_embeddings", &request.unconditional_embeddings}};
  const bool is_one_gpu = device.rfind("cuda:", 0) == 0 && device.find(',') == std::string::npos;
  for (const auto& [name, rows] : all) {
    const std::string place = message("cuda:", rows->gpu);
    TTSRT_CHECK(ConfigError, !rows->is_on_gpu() || place == device, name,
                ": expected rows in the memory of the host",
                !is_one_gpu ? std::string() : message(" or of ", device), ", as this executor ",
                "runs on ", device, ", got rows in the memory of ", place, "; copy them first");
  }
}

void check_tokens(const step::Itinerary& itinerary, const model::NetworkInfo& network) {
  TTSRT_CHECK(ConfigError, itinerary.tokens == nullptr || network.takes_token_rules,
              "tokens: ", itinerary.tokens->names, ": not supported on ", network.device,
              " so far; run such requests on the CPU");
}

PreparedRequest prepare(Request&& request, const model::Itineraries& itineraries,
                        const model::VoiceFinder& voices) {
  PreparedRequest prepared;
  prepared.return_alignment = request.return_alignment;
  prepared.return_positions = request.return_positions;
  prepared.chunk_frames = request.chunk_frames;
  prepared.initial_chunk_frames = request.initial_chunk_frames.value_or(request.chunk_frames);
  check_chunk("chunk_frames", prepared.chunk_frames);
  check_chunk("initial_chunk_frames", prepared.initial_chunk_frames);
  prepared.priority = request.priority;
  prepared.deadline = request.deadline;
  prepared.itinerary = itineraries.itinerary(std::move(request), voices);
  check_stops(prepared.itinerary);
  check_rounds(prepared.itinerary);
  check_silences(prepared.itinerary);
  for (step::Stop& stop : prepared.itinerary.stops) {
    if (stop.reads < 0) continue;
    stop.first_chunk = std::min(prepared.initial_chunk_frames, kMostWaiting);
    stop.chunk = std::min(prepared.chunk_frames, kMostWaiting);
  }
  const bool is_deadline =
      !prepared.deadline || (std::isfinite(*prepared.deadline) && *prepared.deadline > 0.0);
  TTSRT_CHECK(ConfigError, is_deadline, "deadline: expected seconds above 0, got ",
              prepared.deadline.value_or(0.0));
  return prepared;
}

}  // namespace ttsrt::executor
