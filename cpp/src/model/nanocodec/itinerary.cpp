#include "model/nanocodec/itinerary.h"

#include <cmath>
#include <memory>
#include <vector>

#include "core/check.h"
#include "model/request_rows.h"
#include "model/whole_request.h"

namespace ttsrt::model::nanocodec {
namespace {

constexpr const char* kNoVoices = "add_voice: codecs have no voices";

}  // namespace

step::RowSource CodecItineraries::rows_of_codes(Matrix<std::int32_t>&& codes) const {
  const std::int32_t groups = config_.quantizer.groups;
  const bool fits = codes.rows >= 1 && codes.rows <= limits_.max_seq_len && codes.cols == groups &&
                    static_cast<std::int64_t>(codes.values.size()) == codes.rows * codes.cols;
  TTSRT_CHECK(ConfigError, fits, "codes: expected [1 to ", limits_.max_seq_len, ", ", groups,
              "], got [", codes.rows, ", ", codes.cols, "]");
  check_codes("codes", codes, config_.quantizer.codes());
  step::RowSource source;
  source.input = step::Input::codes;
  source.rows = static_cast<std::int32_t>(codes.rows);
  source.ids_per_row = groups;
  source.ids = std::make_shared<const std::vector<std::int32_t>>(std::move(codes.values));
  return source;
}

// Whole frames; behind the last sample stand zeros.
step::RowSource CodecItineraries::rows_of_samples(std::vector<float>&& samples) const {
  TTSRT_CHECK(ConfigError, config_.encoder.has_value(),
              "samples: expected none, as this codec has no encoder; convert one that has");
  const auto frame = static_cast<std::size_t>(config_.samples_per_frame);
  const std::size_t most = static_cast<std::size_t>(limits_.max_input_len) * frame;
  TTSRT_CHECK(ConfigError, samples.size() <= most, "samples: expected at most ", most,
              ", which is ", static_cast<double>(most) / config_.sample_rate, " s (max_input_len ",
              limits_.max_input_len, " frames), got ", samples.size());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    TTSRT_CHECK(ConfigError, std::isfinite(samples[i]), "samples[", i,
                "]: expected a finite number, got ", samples[i]);
  }
  step::RowSource source;
  source.input = step::Input::vectors;
  source.rows = static_cast<std::int32_t>((samples.size() + frame - 1) / frame);
  samples.resize(static_cast<std::size_t>(source.rows) * frame, 0.0F);
  source.vectors = std::make_shared<const std::vector<float>>(std::move(samples));
  return source;
}

step::Itinerary CodecItineraries::itinerary(Request&& request,
                                            const VoiceFinder& /*voices*/) const {
  const int given = (is_given(request.codes) ? 1 : 0) + (request.samples.empty() ? 0 : 1);
  TTSRT_CHECK(ConfigError, given == 1,
              "codes: expected either the codes to turn into sound, or samples to turn into codes; "
              "got ",
              given == 0 ? "neither" : "both");
  refuse_beside_codec_input(request);
  step::Itinerary itinerary;
  step::Stop& stop = itinerary.stops.emplace_back();
  if (!request.samples.empty()) {
    stop.program = kEncodeSound;
    stop.rows = {rows_of_samples(std::move(request.samples))};
    return itinerary;
  }
  stop.program = kDecodeCodes;
  stop.first_chunk = request.initial_chunk_frames.value_or(0);
  stop.rows = {rows_of_codes(std::move(request.codes))};
  return itinerary;
}

Voice CodecItineraries::voice_of_vectors(Matrix<float>&& /*rows*/) const {
  throw ConfigError(kNoVoices);
}

Voice CodecItineraries::voice_of_codes(Matrix<std::int32_t>&& /*codes*/) const {
  throw ConfigError(kNoVoices);
}

}  // namespace ttsrt::model::nanocodec
