// What a HiFT vocoder is (docs/format.md, "Sound of T3's tokens"): a pitch predictor, a source of
// harmonics, convolutions that upsample a spectrogram and add the source's spectrum, and an inverse
// short Fourier transform.
#pragma once

#include <cstdint>
#include <vector>

#include "core/json.h"

namespace ttsrt::model::hift {

struct Config {
  std::int32_t mel_bins = 0;
  std::int32_t dim = 0;                      // behind the first convolution; each stage halves it
  std::vector<std::int32_t> rates;           // of the stages
  std::vector<std::int32_t> kernels;         // of their transposed convolutions
  std::vector<std::int32_t> chain_kernels;   // of the chains of a stage, whose mean it is
  std::vector<std::int32_t> source_kernels;  // of each stage's chain of the source
  std::vector<std::int32_t> dilations;       // of the blocks of a chain
  std::int32_t n_fft = 0;                    // samples of a frame of both transforms
  std::int32_t hop = 0;                      // and from frame to frame
  std::int32_t harmonics = 0;                // of the source, with the fundamental
  std::int32_t f0_dim = 0;
  std::int32_t f0_layers = 0;
  std::int32_t sample_rate = 0;

  std::int32_t stages() const { return static_cast<std::int32_t>(rates.size()); }
  std::int32_t channels(std::int32_t stage) const { return dim >> (stage + 1); }
  // Frames of the transforms for each row of a spectrogram.
  std::int32_t frames() const;
  // Of those, so many for each row of a stage.
  std::int32_t stride(std::int32_t stage) const;
  // Samples of a row.
  std::int32_t samples() const { return frames() * hop; }
  std::int32_t spectrum_width() const { return n_fft + 2; }
  std::int32_t noise_width() const { return samples() + harmonics; }
  double frame_rate() const { return static_cast<double>(sample_rate) / samples(); }
};

// Reads "vocoder" of a model. Throws FormatError naming the field.
Config read_config(const JsonReader& vocoder, std::int32_t sample_rate);

// Rows of a window that stand in front of those whose sound is kept, and as many behind them, so
// that windows of an item give the bits of the whole: what a row's sound depends on, the pitch of
// those rows included, which depends on pitch_halo() more.
inline std::int32_t pitch_halo(const Config& config) { return config.f0_layers; }
std::int32_t window_halo(const Config& config);

}  // namespace ttsrt::model::hift
