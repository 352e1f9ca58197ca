// Rows for an encoder or the decoder, checked against the model: ids or vectors, as a segment takes
// them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "step/batch.h"
#include "step/model_facts.h"
#include "ttsrt/tensor.h"

namespace ttsrt::executor {

struct RowSource {
  step::Input input = step::Input::zeros;
  std::int32_t rows = 0;
  std::int32_t table = 0;         // Input::ids: which of the Program's id tables
  std::vector<std::int32_t> ids;  // text ids [rows], or codes [rows, C*S]
  std::shared_ptr<const std::vector<float>> vectors;  // [rows * dim]
};

// All throw ConfigError beginning with `what`, the field they come from.

// Finite numbers [1 to max_rows, dim].
RowSource rows_of_vectors(const std::string& what, Matrix<float>&& matrix, std::int32_t dim,
                          std::int32_t max_rows);

// At most max_rows ids in [0, vocab) of an id table.
RowSource rows_of_text(const std::string& what, std::vector<std::int32_t>&& ids, std::int32_t vocab,
                       std::int32_t max_rows, std::int32_t table);

// Codes [frames, C] as stacks [rows, C*S], index c + C*f; the last stack is padded with code 0, as
// the original pads. Models with text conditioning count context rows in frames: behind the stacks
// stand rows of zeros (NeMo 3's `_get_context_embeddings`).
RowSource rows_of_codes(const std::string& what, Matrix<std::int32_t>&& codes,
                        const step::ModelFacts& facts);

}  // namespace ttsrt::executor
