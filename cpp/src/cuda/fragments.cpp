#include "cuda/fragments.h"

#include <cstring>

#include "core/check.h"

namespace ttsrt::cuda {
namespace {

using ops::kPanel;
using ops::Weight;

constexpr std::int64_t kLanes = 32;
constexpr std::int64_t kWords = 4;                           // of a lane in a fragment
constexpr std::int64_t kRowBytes = kFragmentBytes / kPanel;  // of an output in a fragment
static_assert(kLeastInput == ops::kLeastInput);
static_assert(kTile == kPanel && kFragmentBytes == kLanes * kWords * 4);

Format format_of(const Weight& weight) {
  switch (weight.quantization) {
    case ops::Quantization::w8a16:
      return Format::w8a16;
    case ops::Quantization::w4a16:
      return Format::w4a16;
    case ops::Quantization::w8a8:
      return Format::w8a8;
    case ops::Quantization::w4a8:
      return Format::w4a8;
    case ops::Quantization::none:
      break;
  }
  if (weight.dtype == DType::bfloat16) return Format::bfloat16;
  if (weight.dtype == DType::float16) return Format::float16;
  TTSRT_CHECK(InternalError, weight.dtype == DType::float32, weight.name,
              ": expected a float type, got ", name_of(weight.dtype));
  return Format::float32;
}

// Reads stored values of a panel16, and zeros where it has none.
class PanelReader {
 public:
  explicit PanelReader(const Weight& weight)
      : data_(reinterpret_cast<const std::uint8_t*>(weight.data)),
        rows_(ops::padded_rows(weight.rows)),
        cols_(ops::padded_cols(weight)) {}

  // float32 and float16: [N/16][K][16].
  template <class T>
  T value(std::int64_t row, std::int64_t k) const {
    return read<T>(row, k, (row / kPanel * cols_ + k) * kPanel + row % kPanel);
  }
  // bfloat16: [N/16][K/2][16][2], as pairs of inputs k and k + 1, for even k.
  std::uint32_t pair(std::int64_t row, std::int64_t k) const {
    return read<std::uint32_t>(row, k, (row / kPanel * cols_ + k) / 2 * kPanel + row % kPanel);
  }
  // w8a8: [N/16][K/4][16][4], as the int8 of four inputs from k on, which 4 divides.
  std::uint32_t quad(std::int64_t row, std::int64_t k) const {
    const std::int64_t at = (row / kPanel * cols_ + k) / 4 * kPanel + row % kPanel;
    return is_inside(row, k) ? read<std::uint32_t>(row, k, at) ^ 0x80808080U : 0;
  }
  // w4a16: [N/16][K/8][16][2] words.
  std::uint32_t w4a16(std::int64_t row, std::int64_t k) const {
    const std::int64_t block = (row / kPanel * cols_ + k) / 8 * kPanel + row % kPanel;
    const auto word = read<std::uint16_t>(row, k, block * 2 + k % 2);
    return static_cast<std::uint32_t>(word) >> (k % 8 / 2 * 4) & 0xFU;
  }
  // w4a8: [N/16][K/8][16][4], as the bytes of the eight inputs from k on, which 8 divides.
  std::uint32_t octet(std::int64_t row, std::int64_t k) const {
    return read<std::uint32_t>(row, k, (row / kPanel * cols_ + k) / 8 * kPanel + row % kPanel);
  }

 private:
  bool is_inside(std::int64_t row, std::int64_t k) const { return row < rows_ && k < cols_; }
  template <class T>
  T read(std::int64_t row, std::int64_t k, std::int64_t at) const {
    T value = 0;
    if (is_inside(row, k))
      std::memcpy(&value, data_ + static_cast<std::size_t>(at) * sizeof(T), sizeof(T));
    return value;
  }

  const std::uint8_t* data_;
  std::int64_t rows_;
  std::int64_t cols_;
};

// Word j of a lane: `row` is the tile's output g, `k` the fragment's first input.
struct Place {
  std::int64_t row = 0;
  std::int64_t k = 0;
  std::int64_t t = 0;
  std::int64_t j = 0;
};

std::uint32_t bfloat16_word(const PanelReader& panel, const Place& at) {
  return panel.pair(at.row + 8 * (at.j % 2), at.k + 4 * at.t + 2 * (at.j / 2));
}

std::uint32_t float16_word(const PanelReader& panel, const Place& at) {
  const std::int64_t row = at.row + 8 * (at.j % 2);
  const std::int64_t k = at.k + 4 * at.t + 2 * (at.j / 2);
  const auto high = static_cast<std::uint32_t>(panel.value<std::uint16_t>(row, k + 1));
  return panel.value<std::uint16_t>(row, k) | high << 16;
}

std::uint32_t w8a16_word(const PanelReader& panel, const Place& at) {
  const std::int64_t k = at.k + 16 * (at.j / 2) + 4 * at.t + 2 * (at.j % 2);
  std::uint32_t word = 0;
  for (int byte = 0; byte < 4; ++byte) {
    const std::uint32_t q = panel.value<std::uint8_t>(at.row + 8 * (byte % 2), k + byte / 2);
    word |= q << (8 * byte);
  }
  return word;
}

std::uint32_t w4a16_word(const PanelReader& panel, const Place& at) {
  std::uint32_t word = 0;
  for (int i = 0; i < 8; ++i) {
    const std::int64_t k = at.k + 16 * at.j + 4 * at.t + 2 * (i % 4 / 2) + i / 4;
    word |= panel.w4a16(at.row + 8 * (i % 2), k) << (4 * i);
  }
  return word;
}

std::uint32_t w8a8_word(const PanelReader& panel, const Place& at) {
  return panel.quad(at.row + 8 * (at.j % 2), at.k + 8 * at.t + 4 * (at.j / 2));
}

std::uint32_t w4a8_word(const PanelReader& panel, const Place& at) {
  return panel.octet(at.row + 8 * (at.j % 2), at.k + 32 * (at.j / 2) + 8 * at.t);
}

template <class Word>
void write_words(const Weight& weight, const Word& word_at, std::byte* out) {
  const PanelReader panel(weight);
  const ProductWeight sizes = product_weight(weight);
  const std::int64_t unit = unit_of(sizes.format);
  for (std::int64_t tile = 0; tile < ops::padded_rows(weight.rows); tile += kPanel) {
    for (std::int64_t k = 0; k < sizes.padded_inputs; k += unit) {
      for (std::int64_t lane = 0; lane < kLanes; ++lane) {
        for (std::int64_t j = 0; j < kWords; ++j) {
          const std::uint32_t word = word_at(panel, Place{tile + lane / 4, k, lane % 4, j});
          std::memcpy(out, &word, sizeof(word));
          out += sizeof(word);
        }
      }
    }
  }
}

void write_rows(const Weight& weight, std::byte* out) {
  const PanelReader panel(weight);
  const std::int64_t cols = product_weight(weight).padded_inputs;
  for (std::int64_t row = 0; row < ops::padded_rows(weight.rows); ++row) {
    for (std::int64_t k = 0; k < cols; ++k) {
      const auto bits = panel.value<std::uint32_t>(row, k);
      std::memcpy(out, &bits, sizeof(bits));
      out += sizeof(bits);
    }
  }
}

// Copies [N/16][groups][16] values of w4 to [N/16][more groups][8][2].
void write_pairs(const Weight& weight, const std::byte* values, std::size_t size, std::byte* out) {
  const ProductWeight sizes = product_weight(weight);
  TTSRT_CHECK(InternalError, sizes.group_size > 0, weight.name, ": expected groups");
  const std::int64_t groups = ops::num_groups(weight);
  const std::int64_t stored_groups = sizes.padded_inputs / sizes.group_size;
  for (std::int64_t tile = 0; tile < ops::padded_rows(weight.rows) / kPanel; ++tile) {
    for (std::int64_t group = 0; group < stored_groups; ++group) {
      for (std::int64_t i = 0; i < kPanel; ++i) {
        const std::int64_t from = (tile * groups + group) * kPanel + i / 2 + 8 * (i % 2);
        if (group < groups) {
          std::memcpy(out, values + static_cast<std::size_t>(from) * size, size);
        } else {
          std::memset(out, 0, size);
        }
        out += size;
      }
    }
  }
}

std::size_t num_scales(const Weight& weight) {
  const ProductWeight sizes = product_weight(weight);
  const std::int64_t groups = sizes.group_size == 0 ? 1 : sizes.padded_inputs / sizes.group_size;
  return static_cast<std::size_t>(ops::padded_rows(weight.rows) * groups);
}

}  // namespace

ProductWeight product_weight(const Weight& weight) {
  TTSRT_CHECK(InternalError, weight.layout == ops::Layout::panel16, weight.name,
              ": expected panel16");
  ProductWeight product;
  product.format = format_of(weight);
  product.outputs = weight.rows;
  product.inputs = weight.cols;
  product.group_size = ops::has_groups(weight.quantization) ? weight.group_size : 0;
  const std::int64_t unit = unit_of(product.format);
  product.padded_inputs =
      ops::padded_to(weight.cols, product.group_size > unit ? product.group_size : unit);
  return product;
}

std::size_t fragment_bytes(const Weight& weight) {
  const ProductWeight sizes = product_weight(weight);
  const std::int64_t row_bytes = sizes.format == Format::float32
                                     ? sizes.padded_inputs * 4
                                     : sizes.padded_inputs / unit_of(sizes.format) * kRowBytes;
  return static_cast<std::size_t>(ops::padded_rows(weight.rows) * row_bytes);
}

std::size_t scale_bytes(const Weight& weight) {
  if (weight.quantization == ops::Quantization::none) return 0;
  return num_scales(weight) * (ops::has_groups(weight.quantization) ? 2 : sizeof(float));
}

std::size_t zero_bytes(const Weight& weight) { return weight.has_zeros ? num_scales(weight) : 0; }

void write_fragments(const Weight& weight, std::byte* out) {
  TTSRT_CHECK(InternalError, weight.is_present(), weight.name, ": absent where it is needed");
  switch (format_of(weight)) {
    case Format::float32:
      return write_rows(weight, out);
    case Format::bfloat16:
      return write_words(weight, bfloat16_word, out);
    case Format::float16:
      return write_words(weight, float16_word, out);
    case Format::w8a16:
      return write_words(weight, w8a16_word, out);
    case Format::w4a16:
      return write_words(weight, w4a16_word, out);
    case Format::w8a8:
      return write_words(weight, w8a8_word, out);
    case Format::w4a8:
      return write_words(weight, w4a8_word, out);
  }
}

void write_scales(const Weight& weight, std::byte* out) {
  TTSRT_CHECK(InternalError, weight.scales != nullptr, weight.name,
              ": scales are absent where they are needed");
  if (ops::has_groups(weight.quantization)) {
    write_pairs(weight, weight.scales, 2, out);
  } else {
    std::memcpy(out, weight.scales, scale_bytes(weight));
  }
}

void write_zeros(const Weight& weight, std::byte* out) {
  TTSRT_CHECK(InternalError, weight.zeros != nullptr, weight.name,
              ": zero points are absent where they are needed");
  write_pairs(weight, weight.zeros, 1, out);
}

std::int64_t matrix_stride(const ops::Weight& weight) {
  constexpr std::int64_t kUnit = 8;
  return ops::padded_to(weight.cols, kUnit);
}

std::size_t matrix_bytes(const ops::Weight& weight) {
  return static_cast<std::size_t>(weight.rows * matrix_stride(weight)) * sizeof(std::uint16_t);
}

void write_matrix(const ops::Weight& weight, std::byte* out) {
  TTSRT_CHECK(InternalError,
              weight.is_present() && weight.layout == ops::Layout::panel16 &&
                  (weight.dtype == DType::bfloat16 || weight.dtype == DType::float16),
              weight.name, ": expected a matrix of bfloat16 or float16 in panels");
  const PanelReader panel(weight);
  const bool is_paired = weight.dtype == DType::bfloat16;
  for (std::int64_t row = 0; row < weight.rows; ++row) {
    for (std::int64_t k = 0; k < matrix_stride(weight); ++k) {
      const std::uint32_t pair = is_paired ? panel.pair(row, k / 2 * 2) : 0;
      const auto bits = is_paired ? static_cast<std::uint16_t>(k % 2 == 0 ? pair : pair >> 16)
                                  : panel.value<std::uint16_t>(row, k);
      std::memcpy(out, &bits, sizeof(bits));
      out += sizeof(bits);
    }
  }
}

}  // namespace ttsrt::cuda
