// Sound that goes in: WAV files, other sample rates, and the spectrograms that models are
// conditioned on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ttsrt/export.h"
#include "ttsrt/tensor.h"

namespace ttsrt {

/// The samples of a sound.
struct Wave {
  std::int32_t sample_rate = 0;  ///< frames per second
  Matrix<float> samples;         ///< [frames, channels]; integers become values in [-1, 1)
};

/// Reads a WAV file: integers of 8, 16, 24 or 32 bits, floats of 32 or 64, plain or extensible.
/// Throws FormatError for anything else, for files that end early or state impossible sizes, for
/// samples that are not finite, and for more than 2^28 samples.
TTSRT_API Wave read_wav(const std::string& path);

/// As read_wav, from memory. `name` stands for the file in messages.
TTSRT_API Wave parse_wav(const std::byte* data, std::size_t size, const std::string& name);

/// Returns the samples at another rate, ceil(count * to / from) of them: a sinc of six zero
/// crossings under a Hann window, with 0.99 of the smaller rate's band, as torchaudio's default.
/// Throws ConfigError for rates outside 1000..768000.
TTSRT_API std::vector<float> resample(const float* samples, std::int64_t count, std::int32_t from,
                                      std::int32_t to);

/// How a spectrogram is made.
enum class MelKind : std::int32_t {
  vocos,   ///< padded by half a window; HTK scale, bands of height 1
  bigvgan  ///< padded by the window less the hop; Slaney's scale, bands of area 1
};

/// Inverts the names "vocos" and "bigvgan"; throws ConfigError for others.
TTSRT_API MelKind mel_kind_from_name(const std::string& name);

/// The numbers of a spectrogram.
struct MelOptions {
  MelKind kind = MelKind::vocos;
  std::int32_t sample_rate = 24000;  ///< of the samples; the bands reach half of it
  std::int32_t window = 1024;        ///< samples of a frame, a power of two: a periodic Hann window
  std::int32_t hop = 256;            ///< samples from one frame to the next
  std::int32_t bands = 100;
};

/// Returns the natural logarithm of a mel spectrogram of magnitudes, never below ln(1e-5):
/// [frames, bands], count / hop + 1 frames for "vocos" and count / hop for "bigvgan". Throws
/// ConfigError for samples that are not finite or too few to be mirrored at the ends (one more than
/// the padding is needed), and for options out of their limits.
TTSRT_API Matrix<float> log_mel(const float* samples, std::int64_t count,
                                const MelOptions& options);

}  // namespace ttsrt
