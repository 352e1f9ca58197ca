// HiFT as tensors, as Programs and as stops of a request.
//
//   vocoder_noise   keeps the random numbers of a request's source in its slot
//   vocoder_mel     keeps rows of its spectrogram there
//   vocoder         windows of these rows to samples: pitch, source, network
//
// Rows are those that a request makes, the first of them at position 0. A centred transform has one
// frame more than its samples fill, so that n rows of an item run with n + 1 (ops/rate_ops.h); the
// last one is never read, and what it emits has no meaning. A row's samples depend on window_halo()
// rows on each side; windows with that halo, one after the other, give the bits of the whole. So a
// launch is bounded however long a sound is, and the first samples come early.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/family.h"
#include "model/hift/config.h"
#include "model/manifest.h"
#include "model/weights.h"
#include "ops/backend.h"
#include "step/itinerary.h"

namespace ttsrt::model::hift {

// `prefix`: in front of all names, "vocoder.". The pitch and the source are float32 in an engine.
void declare(Manifest& manifest, const std::string& prefix, const Config& config);

// Adds what a slot keeps of a vocoder of at most `max_frames` rows. Returns the index of its first
// array in StateSpec::rows.
std::int32_t add_state(const Config& config, std::int32_t max_frames, ops::StateSpec& spec);

struct Places {
  std::int32_t first_array = 0;  // of add_state()
  std::int32_t max_rows = 0;     // of a request
};

constexpr std::int32_t kNumPrograms = 3;
// Appends the Programs.
void append_programs(const Weights& weights, const std::string& prefix, const Config& config,
                     const Places& places, bool trace, std::vector<FamilyProgram>& programs);

// New rows of a spectrogram, behind those that came before.
struct NewRows {
  std::int32_t first = 0;    // of these rows, in the request's sound
  std::vector<float> noise;  // [rows, noise_width()], of noise_rows() or given
  step::RowSource mel;       // [rows, mel_bins]
  bool are_last = true;
  std::int32_t cropped = 0;           // of the last ones, so many are not heard
  std::int32_t heard = 0;             // rows that have become sound
  std::int32_t program = 0;           // index of vocoder_noise
  std::int32_t first_stop = 0;        // index of the first of `stops` in the itinerary
  std::vector<std::int32_t> follows;  // stops after which the rows are there
};

// Appends the stops that make sound of what can be heard with these rows: all but those whose halo
// is not there yet. Returns how many rows have then become sound.
std::int32_t append_stops(const Config& config, NewRows&& rows, std::vector<step::Stop>& stops);

}  // namespace ttsrt::model::hift
