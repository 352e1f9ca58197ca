// One benchmark as plain values: the Program to be timed, the state it needs and the rows it runs
// on. Nothing here uses a device.
//
// Inputs come from an EmbedRows over given vectors at the start of the Program; so many ops follow
// it that its time does not matter. Weights and caches are pseudo-random by a hash, so two cases
// with the same options are equal and a device can be compared with the reference.
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

// A Program that runs once on each of its batches before the timed runs.
struct Fill {
  ops::Program program;
  std::vector<step::RowBatch> batches;
};

// The storage format of a product's weights.
struct PanelKind {
  DType dtype = DType::float32;
  model::QuantizationChoice quantization;
};

// The arrays to which Programs and batches point; their addresses do not change.
class Arrays {
 public:
  // Returns values in [-scale, scale), with a new seed.
  const float* random(std::int64_t count, float scale = 1.0F);
  // Returns numbers below `limit`.
  const std::int32_t* random_ids(std::int64_t count, std::int32_t limit);
  const std::int32_t* keep(std::vector<std::int32_t> values);

  // Return weights of random values: a matrix of a product, a table, a vector around `center`.
  ops::Weight panel(std::int64_t rows, std::int64_t cols, const PanelKind& kind);
  ops::Weight table(std::int64_t rows, std::int64_t cols, DType dtype);
  ops::Weight vector(std::int64_t size, float center);
  // Returns a weight with the same values at another address.
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
  std::vector<step::SlotReset> resets;
  std::vector<Fill> fills;
  std::vector<step::BlockCopy> copies;  // made after the fills
  ops::Program program;
  step::RowBatch batch;
  std::int32_t num_ops = 0;
  std::int64_t bytes = 0;       // per op
  std::int64_t operations = 0;  // per op
  ops::BufferId result = ops::kNoBuffer;
  Arrays arrays;
};

// `is_check` makes a case of one op with few rows, whose results are all kept.
struct CaseOptions : OpBenchOptions {
  bool is_check = false;
};

// Returns how often a Program repeats an op that reads `bytes` of its own and does `operations`.
std::int32_t repeats_of(const CaseOptions& options, double bytes, double operations,
                        std::int32_t most = 256);

// Starts the Program with an input [rows, width] of random vectors. Every `rows_per_segment` rows
// are a segment, and segment i uses slot i.
ops::BufferId add_input(OpCase& made, std::int32_t rows, std::int64_t width,
                        std::int32_t rows_per_segment);

using MakeCase = std::unique_ptr<OpCase> (*)(const CaseOptions& options);

std::unique_ptr<OpCase> make_linear(const CaseOptions& options);
std::unique_ptr<OpCase> make_norm_linear(const CaseOptions& options);
std::unique_ptr<OpCase> make_layer_norm(const CaseOptions& options);
std::unique_ptr<OpCase> make_embed_rows(const CaseOptions& options);
std::unique_ptr<OpCase> make_time_conv(const CaseOptions& options);
std::unique_ptr<OpCase> make_self_attention(const CaseOptions& options);
std::unique_ptr<OpCase> make_cross_attention(const CaseOptions& options);
std::unique_ptr<OpCase> make_sample_codes(const CaseOptions& options);
std::unique_ptr<OpCase> make_pick_codes(const CaseOptions& options);

}  // namespace ttsrt::bench
