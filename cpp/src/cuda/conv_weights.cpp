#include "cuda/conv_weights.h"

#include <cstring>

#include "core/check.h"

namespace ttsrt::cuda {
namespace {

constexpr std::int64_t kPiece = 8;  // outputs, and columns

// The bits of a weight; zeros where there is none.
class Bits {
 public:
  Bits(const ops::Weight& weight, const ConvWeightShape& shape)
      : data_(reinterpret_cast<const std::uint8_t*>(weight.data)),
        shape_(shape),
        cols_(ops::padded_cols(weight)),
        is_paired_(weight.dtype == DType::bfloat16) {}

  std::uint16_t at(std::int64_t output, std::int64_t tap, std::int64_t column) const {
    if (output >= shape_.outputs || column >= shape_.width) return 0;
    const std::int64_t k = tap * shape_.width + column;
    const std::int64_t panel = output / ops::kPanel * cols_;
    const std::int64_t lane = output % ops::kPanel;
    // bfloat16: [N/16][K/2][16][2], float16: [N/16][K][16].
    const std::int64_t place = is_paired_ ? (panel + k / 2 * 2) * ops::kPanel + lane * 2 + k % 2
                                          : (panel + k) * ops::kPanel + lane;
    std::uint16_t bits = 0;
    std::memcpy(&bits, data_ + place * std::int64_t{sizeof(bits)}, sizeof(bits));
    return bits;
  }

 private:
  const std::uint8_t* data_;
  const ConvWeightShape& shape_;
  std::int64_t cols_;
  bool is_paired_;
};

// One product of a tile of outputs: 16 columns from `column` on, of a tap.
std::byte* write_step(const Bits& bits, std::int64_t first_output, std::int64_t outputs,
                      std::int64_t tap, std::int64_t column, std::byte* out) {
  for (std::int64_t group = 0; group < outputs; group += kPiece) {
    for (std::int64_t half = 0; half < kConvColumns; half += kPiece) {
      for (std::int64_t o = 0; o < kPiece; ++o) {
        for (std::int64_t c = 0; c < kPiece; ++c) {
          const std::uint16_t value = bits.at(first_output + group + o, tap, column + half + c);
          std::memcpy(out, &value, sizeof(value));
          out += sizeof(value);
        }
      }
    }
  }
  return out;
}

}  // namespace

std::size_t conv_weight_bytes(const ConvWeightShape& shape) {
  return static_cast<std::size_t>(shape.tile_bytes() * shape.tiles());
}

void write_conv_weights(const ops::Weight& weight, const ConvWeightShape& shape, std::byte* out) {
  TTSRT_CHECK(InternalError,
              weight.is_present() && weight.layout == ops::Layout::panel16 &&
                  (weight.dtype == DType::bfloat16 || weight.dtype == DType::float16) &&
                  weight.rows == shape.outputs &&
                  weight.cols == std::int64_t{shape.kernel} * shape.width,
              weight.name, ": expected a convolution of bfloat16 or float16 in panels");
  const Bits bits(weight, shape);
  for (std::int32_t tile = 0; tile < shape.tiles(); ++tile) {
    for (std::int32_t chunk = 0; chunk < shape.chunks(); ++chunk) {
      for (std::int32_t tap = 0; tap < shape.kernel; ++tap) {
        for (std::int32_t step = 0; step < shape.steps_of(chunk); ++step) {
          const std::int32_t unit = chunk * kConvChunkSteps + step;
          out = write_step(bits, std::int64_t{tile} * shape.tile(), shape.tile(), tap,
                           std::int64_t{unit} * kConvColumns, out);
        }
      }
    }
  }
}

}  // namespace ttsrt::cuda
