// One benchmark as plain values: the Program that is timed, the state it needs and the rows it runs
// on. Nothing here has touched a device.
//
// Decided: inputs come from an EmbedRows over given vectors at the head of the Program; many ops
// behind it make it vanish in the time. Weights and caches are random by a hash, so two cases of
// the same options are equal and a device can be compared with the reference.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "model/quantize.h"
#include "ops/backend.h"
#include "ttsrt/bench.h"

namespace ttsrt::bench {

// A Program that runs once on each of its batches before anything is timed.
struct Fill {
  ops::Program program;
  std::vector<step::RowBatch> batches;
};

// What a product's weights are stored as.
struct PanelKind {
  DType dtype = DType::float32;
  model::QuantizationPlan quantization;
};

// Arrays that Programs and batches point to; they stay where they are.
class Arrays {
 public:
  // Values in [-scale, scale), of a seed of their own.
  const float* random(std::int64_t count, float scale = 1.0F);
  // Numbers below `limit`.
  const std::int32_t* random_ids(std::int64_t count, std::int32_t limit);
  const std::int32_t* keep(std::vector<std::int32_t> values);

  // Weights of random values: a matrix of products, a table, a vector around `center`.
  ops::Weight panel(std::int64_t rows, std::int64_t cols, const PanelKind& kind);
  ops::Weight table(std::int64_t rows, std::int64_t cols, DType dtype);
  ops::Weight vector(std::int64_t size, float center);
  // The same values at a place of their own.
  ops::Weight copy(const ops::Weight& weight);

 private:
  struct Free {
    void operator()(std::byte* at) const;
  };
  ops::Weight pack(ops::Weight weight, float scale, float center);
  const std::byte* place(const std::byte* from, std::size_t bytes);

  std::uint64_t seed_ = 0;
  std::deque<std::vector<float>> floats_;
  std::deque<std::vector<std::int32_t>> ids_;
  std::vector<std::unique_ptr<std::byte, Free>> weights_;
};

struct OpCase {
  ops::StateSpec state;
  std::vector<step::Admission> admissions;
  std::vector<Fill> fills;
  std::vector<step::BlockCopy> copies;  // after the fills
  ops::Program program;
  step::RowBatch batch;
  std::int32_t num_ops = 0;
  std::int64_t bytes = 0;       // of an op
  std::int64_t operations = 0;  // of an op
  ops::BufferId result = ops::kNoBuffer;
  Arrays arrays;
};

// `is_check`: one op at few rows, with all that it leaves kept.
struct CaseOptions : OpBenchOptions {
  bool is_check = false;
};

// How often an op that moves `bytes` of its own and does `operations` stands in a Program.
std::int32_t repeats_of(const CaseOptions& options, double bytes, double operations,
                        std::int32_t most = 256);

// Starts the Program with an input [rows, width] of random vectors, a segment for each
// `rows_per_segment` rows, each in the slot of its number.
ops::BufferId add_input(OpCase& made, std::int32_t rows, std::int64_t width,
                        std::int32_t rows_per_segment);

using MakeCase = std::unique_ptr<OpCase> (*)(const CaseOptions& options);

std::unique_ptr<OpCase> make_linear(const CaseOptions& options);
std::unique_ptr<OpCase> make_norm_linear(const CaseOptions& options);
std::unique_ptr<OpCase> make_layer_norm(const CaseOptions& options);
std::unique_ptr<OpCase> make_embed_rows(const CaseOptions& options);
std::unique_ptr<OpCase> make_self_attention(const CaseOptions& options);
std::unique_ptr<OpCase> make_cross_attention(const CaseOptions& options);
std::unique_ptr<OpCase> make_sample_codes(const CaseOptions& options);
std::unique_ptr<OpCase> make_pick_codes(const CaseOptions& options);

}  // namespace ttsrt::bench
