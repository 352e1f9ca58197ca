// Programs of the encoders: text and context in, keys and values of every decoder layer (or context
// rows) out.
#pragma once

#include "model/magpie/config.h"
#include "model/weights.h"
#include "ops/program.h"

namespace ttsrt::model::magpie {

// What Programs are written from.
struct Source {
  const Config& config;
  const Weights& weights;
};

// Text ids or features through the text encoder, then projected for each layer that sees the text.
ops::Program write_text_encoder(const Source& source, bool trace);

// Given encoder output, projected only.
ops::Program write_memory_projection(const Source& source);

// Context codes or text through the context encoder, then kept as decoder rows or projected as
// memory.
ops::Program write_context_encoder(const Source& source, bool trace);

}  // namespace ttsrt::model::magpie
