// Launchers of the kernels of encoders whose attention knows distances, and of the flow behind
// them: what cuda/launch.h is to the others, with the same promises. A row's result depends on the
// rows of its own segment alone.
#pragma once

#include "cuda/launch_whole.h"

namespace ttsrt::cuda {

// --- rows ---------------------------------------------------------------------------------------

// What ops::ActivateRows makes of a value: scale * activate(x) + t, where t is column `shift` and
// those behind it of the row's schedule row; without a schedule, nothing is added.
struct RowEnd {
  Activation activate = Activation::none;
  float scale = 1.0F;
  const float* schedule = nullptr;             // [schedule rows, schedule_width], or none
  const std::int32_t* schedule_row = nullptr;  // [rows]
  std::int64_t schedule_width = 0;
  std::int32_t shift = 0;
};

// As ops::ActivateRows. `x` and `out` [rows, width], which may be the same; `out` may be null where
// `narrow` is there.
struct ActivateArgs {
  const std::int32_t* num_rows = nullptr;
  const float* x = nullptr;
  float* out = nullptr;
  NarrowRows narrow;
  RowEnd end;
  std::int64_t width = 0;
  std::int32_t max_rows = 0;
};
void activate_rows(const ActivateArgs& args, cudaStream_t stream);

// As norm() and activate_rows() behind it, with their bits. NormArgs::out may be null where
// `narrow` is there.
struct WholeNormArgs {
  NormArgs norm;
  NarrowRows narrow;
  RowEnd end;
  std::int32_t max_rows = 0;
};
void whole_norm(const WholeNormArgs& args, cudaStream_t stream);

// As ops::JoinColumns, of some of the parts: columns from `first` on of `out` [rows, width], which
// may be null where `narrow` is there.
constexpr std::int32_t kMaxJoined = 16;
struct JoinPart {
  const float* x = nullptr;  // [rows, width]
  std::int64_t width = 0;
};
struct JoinArgs {
  const std::int32_t* num_rows = nullptr;
  JoinPart parts[kMaxJoined];
  std::int32_t num_parts = 0;
  float* out = nullptr;
  NarrowRows narrow;
  std::int64_t width = 0;
  std::int64_t first = 0;
  std::int32_t max_rows = 0;
};
void join_columns(const JoinArgs& args, cudaStream_t stream);

// --- distances ----------------------------------------------------------------------------------

// As ops::DistanceRows. `table` [2 * most, width], `out` [2 * rows, width], which may be null where
// `narrow` is there. Of a segment of more than `most` rows, those without a row in the table are
// NaN.
struct DistanceArgs {
  RowsView rows;
  const float* table = nullptr;
  std::int64_t most = 0;
  float* out = nullptr;
  NarrowRows narrow;
  std::int64_t width = 0;
  std::int32_t max_rows = 0;
};
void distance_rows(const DistanceArgs& args, cudaStream_t stream);

// As ops::RelativeAttention, in two steps where it is multiplied on tensor cores.
// prepare_relative() rounds what is multiplied to the element: to `prepared` [rows, 4 * heads *
// head_dim] queries with the offset of contents, those with that of distances, keys and values, and
// to `prepared_distances` [2 * rows, heads * head_dim] the distances. relative_attention() then
// reads these. Of float32, it reads `qkv` and `distances`.
struct RelativeArgs {
  RowsView rows;
  const float* qkv = nullptr;              // [rows, 3 * heads * head_dim]
  const float* distances = nullptr;        // [2 * rows, heads * head_dim]
  const float* content_offset = nullptr;   // [heads * head_dim]
  const float* distance_offset = nullptr;  // [heads * head_dim]
  Element element = Element::float32;
  void* prepared = nullptr;
  void* prepared_distances = nullptr;
  float* out = nullptr;  // [rows, heads * head_dim], or none where `narrow` is there
  NarrowRows narrow;
  std::int32_t heads = 0;
  std::int32_t head_dim = 0;
  float scale = 0.0F;
  std::int32_t max_rows = 0;
  std::int32_t max_tiles = 0;
};
void prepare_relative(const RelativeArgs& args, cudaStream_t stream);
void relative_attention(const RelativeArgs& args, cudaStream_t stream);
// Whether heads of this size are multiplied on tensor cores where the element is narrow.
bool has_narrow_distances(std::int32_t head_dim);

}  // namespace ttsrt::cuda
