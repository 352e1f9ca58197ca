// What a request brings, checked and laid out as rows of a Program.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "step/itinerary.h"
#include "ttsrt/request.h"
#include "ttsrt/tensor.h"

namespace ttsrt::model {

// All throw ConfigError beginning with `what`, the field that the rows come from.

// Finite numbers [1 to max_rows, dim]. Those of rows on a GPU are checked as they are read there.
step::RowSource rows_of_vectors(const std::string& what, InputRows&& matrix, std::int32_t dim,
                                std::int32_t max_rows);

// Rows [first, first + rows) of a source. Rows on a GPU are not copied.
step::RowSource slice(const step::RowSource& source, std::int32_t first, std::int32_t rows);

// At most max_rows ids in [0, vocab), for one of the Program's id tables.
step::RowSource rows_of_ids(const std::string& what, std::vector<std::int32_t>&& ids,
                            std::int32_t vocab, std::int32_t max_rows, std::int32_t table = 0);

void check_ids(const std::string& what, const std::vector<std::int32_t>& ids, std::int32_t vocab);

// Returns how many decoder steps run: those of the request, or fewer where only the checkpoint asks
// for more than the `room` for steps. `steps` are those asked for, of `stacking` frames each.
std::int32_t steps_in_room(const Request& request, std::int32_t steps, std::int32_t room,
                           std::int32_t stacking);

// Whatever isn't an empty matrix was meant, even where its sizes are wrong.
template <typename T>
bool is_given(const Matrix<T>& matrix) {
  return matrix.rows != 0 || !matrix.values.empty();
}

// Throws ConfigError for the options of a request that only models conditioned on a speaker have.
void refuse_speaker_options(const Request& request);

}  // namespace ttsrt::model
