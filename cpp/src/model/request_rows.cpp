#include "model/request_rows.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "core/check.h"

namespace ttsrt::model {

void check_ids(const std::string& what, const std::vector<std::int32_t>& ids, std::int32_t vocab) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    TTSRT_CHECK(ConfigError, ids[i] >= 0 && ids[i] < vocab, what, "[", i,
                "]: expected an id in [0, ", vocab - 1, "], got ", ids[i]);
  }
}

step::RowSource rows_of_vectors(const std::string& what, InputRows&& matrix, std::int32_t dim,
                                std::int32_t max_rows) {
  const auto given = static_cast<std::int64_t>(matrix.values.size());
  const bool fits =
      matrix.cols == dim && matrix.rows >= 1 && matrix.rows <= max_rows &&
      (matrix.is_on_gpu() ? matrix.values.empty() : given == matrix.rows * matrix.cols);
  TTSRT_CHECK(ConfigError, fits, what, ": expected [1 to ", max_rows, ", ", dim, "], got [",
              matrix.rows, ", ", matrix.cols, "]");
  for (std::size_t i = 0; i < matrix.values.size(); ++i) {
    TTSRT_CHECK(ConfigError, std::isfinite(matrix.values[i]), what, "[",
                i / static_cast<std::size_t>(dim), ", ", i % static_cast<std::size_t>(dim),
                "]: expected a finite number, got ", matrix.values[i]);
  }
  step::RowSource source;
  source.input = step::Input::vectors;
  source.rows = static_cast<std::int32_t>(matrix.rows);
  if (matrix.is_on_gpu()) {
    source.device_vectors = std::move(matrix.gpu_data);
    source.device_width = dim;
    return source;
  }
  source.vectors = std::make_shared<const std::vector<float>>(std::move(matrix.values));
  return source;
}

step::RowSource slice(const step::RowSource& source, std::int32_t first, std::int32_t rows) {
  step::RowSource part = source;
  part.rows = rows;
  part.first_position = source.first_position + first;
  if (source.vectors != nullptr) {
    const auto width = static_cast<std::ptrdiff_t>(source.vectors->size()) / source.rows;
    const auto from = source.vectors->begin() + first * width;
    part.vectors = std::make_shared<const std::vector<float>>(from, from + rows * width);
  }
  if (source.device_vectors != nullptr) {
    part.device_vectors = std::shared_ptr<const float>(
        source.device_vectors, source.device_vectors.get() + first * source.device_width);
  }
  if (source.ids != nullptr) {
    const auto from = source.ids->begin() + std::ptrdiff_t{first} * source.ids_per_row;
    part.ids = std::make_shared<const std::vector<std::int32_t>>(
        from, from + std::ptrdiff_t{rows} * source.ids_per_row);
  }
  return part;
}

step::RowSource rows_of_ids(const std::string& what, std::vector<std::int32_t>&& ids,
                            std::int32_t vocab, std::int32_t max_rows, std::int32_t table) {
  TTSRT_CHECK(ConfigError, ids.size() <= static_cast<std::size_t>(max_rows), what,
              ": expected at most ", max_rows, " ids, got ", ids.size());
  check_ids(what, ids, vocab);
  step::RowSource source;
  source.input = step::Input::ids;
  source.rows = static_cast<std::int32_t>(ids.size());
  source.table = table;
  source.ids = std::make_shared<const std::vector<std::int32_t>>(std::move(ids));
  return source;
}

void refuse_speaker_options(const Request& request) {
  TTSRT_CHECK(ConfigError, !request.analyze_alignment.value_or(false),
              "analyze_alignment: expected false, as this model has no analyzer");
  TTSRT_CHECK(ConfigError, !request.mask_invalid,
              "mask_invalid: expected false, as every id of this model that may be drawn is valid");
  TTSRT_CHECK(ConfigError, !request.emotion.has_value(),
              "emotion: expected none, as this model is not conditioned on an emotion");
  TTSRT_CHECK(ConfigError, !is_given(request.prompt_embeddings),
              "prompt_embeddings: expected none, as this model takes no prompt of embeddings");
  TTSRT_CHECK(ConfigError, !is_given(request.unconditional_embeddings),
              "unconditional_embeddings: expected none, as this model takes no prompt of "
              "embeddings");
}

std::int32_t steps_in_room(const Request& request, std::int32_t steps, std::int32_t room,
                           std::int32_t stacking) {
  const bool is_forced = is_given(request.forced_codes);
  const std::int64_t most = std::int64_t{room} * stacking;
  const char* expected = ": expected at most ";
  const char* where = " frames behind the rows before them, got ";
  TTSRT_CHECK(ConfigError, steps <= room || !is_forced, "forced_codes", expected, most, where,
              request.forced_codes.rows);
  if (steps > room && request.max_frames.has_value())
    throw FrameLimitError(message("max_frames", expected, most, where, *request.max_frames), most);
  return std::min(steps, room);
}

}  // namespace ttsrt::model
