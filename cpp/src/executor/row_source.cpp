#include "executor/row_source.h"

#include <cmath>

#include "core/check.h"

namespace ttsrt::executor {
namespace {

void check_ids(const std::string& what, const std::vector<std::int32_t>& ids, std::int32_t vocab) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    TTSRT_CHECK(ConfigError, ids[i] >= 0 && ids[i] < vocab, what, "[", i,
                "]: expected an id in [0, ", vocab - 1, "], got ", ids[i]);
  }
}

}  // namespace

RowSource rows_of_vectors(const std::string& what, Matrix<float>&& matrix, std::int32_t dim,
                          std::int32_t max_rows) {
  const bool fits = matrix.cols == dim && matrix.rows >= 1 && matrix.rows <= max_rows &&
                    static_cast<std::int64_t>(matrix.values.size()) == matrix.rows * matrix.cols;
  TTSRT_CHECK(ConfigError, fits, what, ": expected [1 to ", max_rows, ", ", dim, "], got [",
              matrix.rows, ", ", matrix.cols, "]");
  for (std::size_t i = 0; i < matrix.values.size(); ++i) {
    TTSRT_CHECK(ConfigError, std::isfinite(matrix.values[i]), what, "[",
                i / static_cast<std::size_t>(dim), ", ", i % static_cast<std::size_t>(dim),
                "]: expected a finite number, got ", matrix.values[i]);
  }
  RowSource source;
  source.input = step::Input::vectors;
  source.rows = static_cast<std::int32_t>(matrix.rows);
  source.vectors = std::make_shared<const std::vector<float>>(std::move(matrix.values));
  return source;
}

RowSource rows_of_text(const std::string& what, std::vector<std::int32_t>&& ids, std::int32_t vocab,
                       std::int32_t max_rows, std::int32_t table) {
  TTSRT_CHECK(ConfigError, ids.size() <= static_cast<std::size_t>(max_rows), what,
              ": expected at most ", max_rows, " ids, got ", ids.size());
  check_ids(what, ids, vocab);
  RowSource source;
  source.input = step::Input::ids;
  source.table = table;
  source.rows = static_cast<std::int32_t>(ids.size());
  source.ids = std::move(ids);
  return source;
}

RowSource rows_of_codes(const std::string& what, Matrix<std::int32_t>&& codes,
                        const step::ModelFacts& facts) {
  TTSRT_CHECK(ConfigError, facts.takes_context_codes, what,
              ": this model has no context encoder; give a voice or embeddings");
  const std::int64_t most =
      std::int64_t{facts.max_input_len} * (facts.pads_context ? 1 : facts.frame_stacking);
  const bool fits = codes.cols == facts.codebooks && codes.rows >= 1 && codes.rows <= most &&
                    static_cast<std::int64_t>(codes.values.size()) == codes.rows * codes.cols;
  TTSRT_CHECK(ConfigError, fits, what, ": expected [1 to ", most, ", ", facts.codebooks, "], got [",
              codes.rows, ", ", codes.cols, "]");
  check_ids(what, codes.values, facts.codebook_vocab);
  RowSource source;
  source.input = step::Input::codes;
  const auto stacks =
      static_cast<std::int32_t>((codes.rows + facts.frame_stacking - 1) / facts.frame_stacking);
  const auto width = static_cast<std::size_t>(facts.stack_codes());
  source.ids = std::move(codes.values);
  source.ids.resize(static_cast<std::size_t>(stacks) * width, 0);
  source.rows = facts.pads_context ? static_cast<std::int32_t>(codes.rows) : stacks;
  source.ids.resize(static_cast<std::size_t>(source.rows) * width, step::kZeroRow);
  return source;
}

}  // namespace ttsrt::executor
