#include "model/pack_items.h"

#include <fnmatch.h>

#include <algorithm>

#include "core/check.h"
#include "core/quote.h"
#include "model/transposed.h"

namespace ttsrt::model {
namespace {

void be_product(ops::Weight& weight, DType dtype, const QuantizationChoice& choice) {
  weight.layout = ops::Layout::panel16;
  weight.dtype = dtype;
  if (choice.quantization == ops::Quantization::none) return;
  weight.quantization = choice.quantization;
  weight.group_size = choice.group_size;
  weight.has_zeros = choice.has_zeros;
  weight.dtype = stored_dtype(weight.quantization);
  check_inputs(weight);
}

// The patterns of excluded products, and which of them stand for one.
class Exclusions {
 public:
  explicit Exclusions(const std::vector<std::string>& patterns)
      : patterns_(patterns), is_met_(patterns.size()) {
    TTSRT_CHECK(ConfigError, patterns.size() <= kMaxExcluded, "exclude_modules: expected at most ",
                kMaxExcluded, " names, got ", patterns.size());
    for (const std::string& pattern : patterns) {
      const bool is_short = pattern.size() <= kMaxPattern;
      const auto stars = std::count(pattern.begin(), pattern.end(), '*');
      TTSRT_CHECK(ConfigError, is_short && stars <= kMaxStars,
                  "exclude_modules: expected names of at most ", kMaxPattern,
                  " characters with at most ", kMaxStars, " of *, got ", in_quotes(pattern));
    }
  }

  bool has(const std::string& name) {
    bool is_excluded = false;
    for (std::size_t i = 0; i < patterns_.size(); ++i) {
      if (fnmatch(patterns_[i].c_str(), name.c_str(), FNM_NOESCAPE) != 0) continue;
      is_met_[i] = is_excluded = true;
    }
    return is_excluded;
  }

  void check_met() const {
    const auto found = std::find(is_met_.begin(), is_met_.end(), false);
    if (found == is_met_.end()) return;
    const std::string& name = patterns_[static_cast<std::size_t>(found - is_met_.begin())];
    throw ConfigError(message("exclude_modules: expected names of matrices of the checkpoint, got ",
                              in_quotes(name), ", which is none"));
  }

 private:
  static constexpr std::size_t kMaxExcluded = 1024;
  static constexpr std::size_t kMaxPattern = 256;
  static constexpr std::ptrdiff_t kMaxStars = 4;  // what fnmatch does grows with each

  const std::vector<std::string>& patterns_;
  std::vector<bool> is_met_;
};

}  // namespace

void check_inputs(const ops::Weight& weight) {
  TTSRT_CHECK(FormatError,
              weight.quantization != ops::Quantization::w8a8 || weight.cols <= ops::kMaxWholeInputs,
              weight.name, ": w8a8 takes at most ", ops::kMaxWholeInputs, " inputs, got ",
              weight.cols);
}

std::vector<PackItem> list_tensors(const Manifest& manifest) {
  std::vector<PackItem> items;
  for (const TensorSpec& spec : manifest.tensors()) {
    if (spec.role == Role::unused) continue;
    PackItem item;
    item.source = spec;
    item.weight.name = spec.name;
    const std::vector<std::int64_t>& shape = spec.shape;
    if (spec.role == Role::heads) {
      item.weight.rows = shape.at(1);
      item.weight.cols = shape.at(2);
      for (std::int64_t head = 0; head < shape.at(0); ++head) {
        item.weight.name = message(spec.name, ".", head);
        item.first_row = head * shape.at(1);
        items.push_back(item);
      }
      continue;
    }
    if (spec.role == Role::transposed) {
      item.weight.rows = spec.rate * shape.at(1);
      item.weight.cols = transposed_rows(shape.at(2), spec.rate) * shape.at(0);
    } else if (spec.role == Role::convolution) {
      item.taps = shape.at(2);
      item.weight.rows = shape.at(0);
      item.weight.cols = shape.at(1) * item.taps;
    } else {
      item.weight.rows = 1;
      for (std::size_t i = 0; i + 1 < shape.size(); ++i) item.weight.rows *= shape[i];
      item.weight.cols = shape.back() * spec.rate;  // a bias of several rows stands there for each
    }
    items.push_back(std::move(item));
  }
  return items;
}

std::vector<PackItem> pack_items(const Manifest& manifest, const PackOptions& options) {
  std::vector<PackItem> items = list_tensors(manifest);
  Exclusions exclusions(options.exclude);
  for (PackItem& item : items) {
    const TensorSpec& source = item.source;
    if (is_product(source.role)) {
      const bool is_excluded = exclusions.has(source.name);
      const bool has_own = source.is_head && options.heads.has_value();
      const QuantizationChoice& choice = has_own ? *options.heads : options.quantization;
      be_product(
          item.weight, options.dtype,
          source.precision == Precision::any && !is_excluded ? choice : QuantizationChoice{});
      if (source.precision == Precision::float32) item.weight.dtype = DType::float32;
    } else {
      item.weight.dtype = source.role == Role::table ? options.dtype : source.dtype;
    }
  }
  exclusions.check_met();
  return items;
}

}  // namespace ttsrt::model
