// What requests to models that make whole items, and no codes step by step, have in common.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/itineraries.h"
#include "step/itinerary.h"
#include "ttsrt/request.h"
#include "ttsrt/tensor.h"

namespace ttsrt::model {

// Throws ConfigError for the options of draws, codes, priors and alignments, and for what codecs
// take.
void refuse_step_options(const Request& request);
// The same for those of draws, priors and alignments only: of models that take codes.
void refuse_draw_options(const Request& request);
// Throws ConfigError for the options of draws beside `score`.
void refuse_beside_score(const Request& request);
// Throws ConfigError for the options of flow matching, of vocoders and of codecs.
void refuse_flow_options(const Request& request);
// Throws ConfigError for all but `mel` and the options of every request.
void refuse_beside_mel(const Request& request);

// Throws ConfigError for all but `codes`, `samples` and the options of every request.
void refuse_beside_codec_input(const Request& request);

// Throws ConfigError for codes outside [0, vocab), naming the frame and the codebook.
void check_codes(const std::string& what, const Matrix<std::int32_t>& codes, std::int32_t vocab);

// Rows of a spectrogram [least to most, bins] that a vocoder takes.
step::RowSource rows_of_mel(InputRows&& mel, std::int32_t bins, std::int32_t most);

// Rows of these values [rows, width].
step::RowSource given_rows(std::vector<float>&& values, std::int32_t rows);

// Rows that the slot keeps, from `first` on.
step::RowSource kept_rows(std::int32_t first, std::int32_t rows);

// A stop that runs once, behind others.
step::Stop stop_of(std::int32_t program, std::vector<step::RowSource> rows,
                   std::vector<std::int32_t> follows);

}  // namespace ttsrt::model
