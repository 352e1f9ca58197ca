// The token encoder as two Programs: the first has a row for each token, the second one for each
// frame. Every row sees all others.
#pragma once

#include <cstdint>

#include "model/s3gen/programs.h"
#include "ops/program.h"

namespace ttsrt::model::s3gen {

ops::Program write_encode(const Source& source, std::int32_t max_tokens, bool trace);
ops::Program write_encode_frames(const Source& source, std::int32_t max_frames, bool trace);

}  // namespace ttsrt::model::s3gen
