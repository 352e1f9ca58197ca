// HiFT as tensors, as Programs and as stops of a request.
//
//   vocoder_noise   keeps the random numbers of a request's source in its slot
//   vocoder         rows of a spectrogram to samples: pitch, source, network
//
// Rows are those that a request makes, the first of them at position 0. A centred transform has one
// frame more than its samples fill, so that an item of n rows runs with n + 1 (ops/rate_ops.h); the
// last one is never read, and what it emits has no meaning. A row's samples depend on window_halo()
// rows on each side; windows with that halo, one after the other, give the bits of the whole.
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
  std::int32_t max_rows = 0;     // of one launch, without the last row of each item
  std::int32_t max_items = 1;    // of one launch
};

// Appends both Programs.
void append_programs(const Weights& weights, const std::string& prefix, const Config& config,
                     const Places& places, bool trace, std::vector<FamilyProgram>& programs);

// What a request's sound is made of.
struct Sound {
  std::vector<float> noise;           // [frames, noise_width()], of noise_rows() or given
  step::RowSource mel;                // of frames + 1 rows, see above
  std::int32_t program = 0;           // index of vocoder_noise
  std::vector<std::int32_t> follows;  // stops after which the spectrogram is there
};

// Appends a stop for each Program.
void append_stops(const Config& config, Sound&& sound, std::vector<step::Stop>& stops);

}  // namespace ttsrt::model::hift
