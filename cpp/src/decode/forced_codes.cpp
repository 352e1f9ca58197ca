#include "decode/forced_codes.h"

#include "decode/options_check.h"

namespace ttsrt::decode {

std::shared_ptr<const std::vector<std::int32_t>> compile_forced_codes(const Request& request,
                                                                      const RuleFacts& facts) {
  const Matrix<std::int32_t>& codes = request.forced_codes;
  if (codes.rows == 0 && codes.values.empty()) return nullptr;
  TTSRT_CHECK(ConfigError, !request.max_frames.has_value(),
              "max_frames: expected none with forced_codes, which have the number of frames");
  const bool fits = codes.cols == facts.codebooks && codes.rows >= 1 && codes.rows <= kMaxFrames &&
                    codes.rows % facts.frame_stacking == 0 &&
                    static_cast<std::int64_t>(codes.values.size()) == codes.rows * codes.cols;
  TTSRT_CHECK(ConfigError, fits, "forced_codes: expected [frames, ", facts.codebooks,
              "] with a multiple of ", facts.frame_stacking, " frames, got [", codes.rows, ", ",
              codes.cols, "]");
  for (std::size_t i = 0; i < codes.values.size(); ++i) {
    const std::int32_t code = codes.values[i];
    TTSRT_CHECK(ConfigError, code >= 0 && code < facts.vocab, "forced_codes[",
                i / static_cast<std::size_t>(codes.cols), ", ",
                i % static_cast<std::size_t>(codes.cols), "]: expected an id in [0, ",
                facts.vocab - 1, "], got ", code);
  }
  return std::make_shared<const std::vector<std::int32_t>>(codes.values);
}

}  // namespace ttsrt::decode
