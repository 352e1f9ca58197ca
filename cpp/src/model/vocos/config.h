// What a Vocos vocoder is (docs/format.md): a stack of convolutions over the rows of a mel
// spectrogram, and an inverse short-time Fourier transform.
#pragma once

#include <cstdint>

#include "core/json.h"

namespace ttsrt::model::vocos {

struct Config {
  std::int32_t mel_bins = 0;
  std::int32_t dim = 0;
  std::int32_t ffn_dim = 0;
  std::int32_t layers = 0;
  std::int32_t n_fft = 0;  // samples of a frame
  std::int32_t hop = 0;    // samples from frame to frame
  bool is_centred =
      true;  // the first frame's middle is sample 0, and the last frame ends in no row
  std::int32_t sample_rate = 0;

  std::int32_t head_width() const { return n_fft + 2; }
  // Samples in front of the first that is kept.
  std::int32_t trim() const { return is_centred ? n_fft / 2 : (n_fft - hop) / 2; }
  // Rows of samples, of `hop` each, that so many rows of a spectrogram become.
  std::int32_t sound_rows(std::int32_t rows) const { return is_centred ? rows - 1 : rows; }
  double frame_rate() const { return static_cast<double>(sample_rate) / hop; }
};

// Throws FormatError naming the field.
Config read_config(const JsonReader& model);

}  // namespace ttsrt::model::vocos
