#include "bench/op_case.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "model/pack.h"

namespace ttsrt::bench {
namespace {

constexpr std::align_val_t kAlignment{64};
constexpr double kBeyondCaches = 268435456.0;  // bytes
constexpr double kMaxOperations = 4e9;         // per iteration, if every op has its own weights
constexpr std::int32_t kResidentOps = 16;

// Returns a number in [-1, 1) for (seed, index), by the finaliser of SplitMix64.
float random_value(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t bits = seed * 0x9E3779B97F4A7C15ULL + (index + 1) * 0xD1B54A32D192ED03ULL;
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9ULL;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBULL;
  bits ^= bits >> 31;
  return static_cast<float>(bits >> 40) * (2.0F / 16777216.0F) - 1.0F;
}

std::vector<float> random_values(std::uint64_t seed, std::int64_t count, float scale,
                                 float center) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = center + scale * random_value(seed, i);
  return values;
}

}  // namespace

void Arrays::Free::operator()(std::byte* at) const { ::operator delete(at, kAlignment); }

const float* Arrays::random(std::int64_t count, float scale) {
  floats_.push_back(random_values(++seed_, count, scale, 0.0F));
  return floats_.back().data();
}

const std::int32_t* Arrays::random_ids(std::int64_t count, std::int32_t limit) {
  std::vector<std::int32_t> ids;
  for (const float value : random_values(++seed_, count, 1.0F, 1.0F))
    ids.push_back(
        std::min(static_cast<std::int32_t>(value * 0.5F * static_cast<float>(limit)), limit - 1));
  return keep(std::move(ids));
}

const std::int32_t* Arrays::keep(std::vector<std::int32_t> values) {
  ids_.push_back(std::move(values));
  return ids_.back().data();
}

ops::Weight Arrays::panel(std::int64_t rows, std::int64_t cols, const PanelKind& kind) {
  ops::Weight weight{"panel", kind.dtype, ops::Layout::panel16, rows, cols, nullptr};
  if (kind.quantization.quantization == ops::Quantization::none) return pack(weight, 0.05F, 0.0F);
  weight.quantization = kind.quantization.quantization;
  weight.group_size = kind.quantization.group_size;
  weight.dtype = model::stored_dtype(weight.quantization);
  const model::Quantized packed =
      model::quantize(random_values(++seed_, rows * cols, 0.05F, 0.0F), weight);
  weight.data = place(packed.quants.data(), packed.quants.size());
  weight.scales = place(packed.scales.data(), packed.scales.size());
  return weight;
}

ops::Weight Arrays::table(std::int64_t rows, std::int64_t cols, DType dtype) {
  return pack({"table", dtype, ops::Layout::dense, rows, cols, nullptr}, 1.0F, 0.0F);
}

ops::Weight Arrays::vector(std::int64_t size, float center) {
  return pack({"vector", DType::float32, ops::Layout::dense, 1, size, nullptr}, 0.1F, center);
}

ops::Weight Arrays::pack(ops::Weight weight, float scale, float center) {
  const std::vector<float> values =
      random_values(++seed_, weight.rows * weight.cols, scale, center);
  const std::vector<std::byte> packed = model::pack(values, weight);
  weight.data = place(packed.data(), packed.size());
  return weight;
}

ops::Weight Arrays::copy(const ops::Weight& weight) {
  ops::Weight copied = weight;
  copied.data = place(weight.data, model::packed_bytes(weight));
  if (weight.scales != nullptr)
    copied.scales = place(weight.scales, model::packed_bytes(model::scales_of(weight)));
  return copied;
}

const std::byte* Arrays::place(const std::byte* from, std::size_t bytes) {
  weights_.emplace_back(static_cast<std::byte*>(::operator new(bytes, kAlignment)));
  std::memcpy(weights_.back().get(), from, bytes);
  return weights_.back().get();
}

std::int32_t repeats_of(const CaseOptions& options, double bytes, double operations,
                        std::int32_t most) {
  if (options.is_check) return 1;
  if (options.resident) return kResidentOps;
  const double enough = kBeyondCaches / std::max(bytes, 1.0);
  const double bounded = std::min(enough, kMaxOperations / std::max(operations, 1.0));
  return std::clamp(static_cast<std::int32_t>(std::min(bounded, 1e6)), 1, most);
}

ops::BufferId add_input(OpCase& made, std::int32_t rows, std::int64_t width,
                        std::int32_t rows_per_segment) {
  ops::EmbedRows embed;
  embed.out = made.program.add("input", width);
  made.program.ops.emplace_back(embed);
  const float* vectors = made.arrays.random(rows * width);
  for (std::int32_t first = 0; first < rows; first += rows_per_segment) {
    step::Segment segment;
    segment.slot = first / rows_per_segment;
    segment.first_row = first;
    segment.rows = std::min(rows_per_segment, rows - first);
    segment.input = step::Input::vectors;
    segment.vectors = vectors + first * width;
    made.batch.segments.push_back(segment);
  }
  made.batch.rows = rows;
  return embed.out;
}

}  // namespace ttsrt::bench
