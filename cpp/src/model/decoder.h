// Programs of the decoder: context rows in front (prefill), then one row per branch and step up to
// a stack of codes (decode).
#pragma once

#include "model/engine_data.h"
#include "ops/program.h"

namespace ttsrt::model {

ops::Program write_prefill(const EngineData& engine, bool trace);
ops::Program write_decode(const EngineData& engine, bool trace);

}  // namespace ttsrt::model
