// Programs that only move rows: between a request, its slot and its result.
#pragma once

#include <cstdint>

#include "ops/program.h"

namespace ttsrt::model {

// Adds the buffer that a Program begins with [rows, width]: rows that are given, or that the slot
// keeps.
ops::BufferId embed_rows(ops::Program& program, const char* name, std::int64_t width);

// Keeps rows in an array of the slots.
ops::Program write_keep(const char* name, std::int64_t width, std::int32_t array);

// Where an integration begins: its state, which is the slot's kept rows, and the base of its first
// step.
ops::Program write_noise(std::int64_t width, std::int32_t base_array);

// Kept rows become a spectrogram of the result.
ops::Program write_spectrogram(std::int64_t width);

}  // namespace ttsrt::model
