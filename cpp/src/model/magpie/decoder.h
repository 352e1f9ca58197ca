// Programs of the decoder: context rows in front (prefill), then one row per branch and step up to
// a stack of codes (decode).
#pragma once

#include "model/magpie/encoder.h"
#include "ops/program.h"

namespace ttsrt::model::magpie {

ops::Program write_prefill(const Source& source, bool trace);
// `max_text_len`: width of the alignment scores.
ops::Program write_decode(const Source& source, std::int32_t max_text_len, bool trace);

}  // namespace ttsrt::model::magpie
