#include "model/manifest.h"

#include <algorithm>

#include "core/check.h"

namespace ttsrt::model {
namespace {

constexpr const char* kRoleNames[] = {"table",      "vector", "matrix", "convolution",
                                      "transposed", "heads",  "data",   "unused"};
constexpr std::int64_t kMaxFreeSize = 1 << 20;

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) {
    text += text.size() > 1 ? ", " : "";
    text += size == kAnySize ? "any" : std::to_string(size);
  }
  return text + "]";
}

bool fits(const TensorSpec& spec, const std::vector<std::int64_t>& shape) {
  if (shape.size() != spec.shape.size()) return false;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const bool is_free = spec.shape[i] == kAnySize;
    if (is_free ? shape[i] < 1 || shape[i] > kMaxFreeSize : shape[i] != spec.shape[i]) return false;
  }
  return true;
}

void check_shape(const TensorSpec& spec, const StoredTensor& stored, const std::string& where) {
  TTSRT_CHECK(FormatError, fits(spec, stored.shape), where, ": ", spec.name, ": expected ",
              shape_text(spec.shape), ", got ", shape_text(stored.shape));
}

}  // namespace

const char* name_of(Role role) { return kRoleNames[static_cast<std::int32_t>(role)]; }

void Manifest::add(Role role, const std::string& name, std::vector<std::int64_t> shape,
                   Precision precision) {
  tensors_.push_back({component_, name, role, std::move(shape), DType::float32, false, precision});
}

void Manifest::add_transposed(const std::string& name, std::vector<std::int64_t> shape,
                              std::int64_t rate, Precision precision) {
  const std::int64_t outputs = shape.at(1);
  add(Role::transposed, name, std::move(shape), precision);
  tensors_.back().rate = rate;
  add(Role::vector, name + "_bias", {outputs});
  tensors_.back().rate = rate;
}

void Manifest::add_head(const std::string& name, std::vector<std::int64_t> shape) {
  const Role role = shape.size() == 3 ? Role::heads : Role::matrix;
  add(role, name, std::move(shape));
  tensors_.back().is_head = true;
}

void Manifest::add_data(const std::string& name, std::vector<std::int64_t> shape, DType dtype) {
  tensors_.push_back(
      {component_, name, Role::data, std::move(shape), dtype, false, Precision::any});
}

const TensorSpec* Manifest::find(const std::string& name) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                  [&](const TensorSpec& spec) { return spec.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

std::vector<std::string> Manifest::components() const {
  std::vector<std::string> names;
  for (const TensorSpec& spec : tensors_) {
    if (std::find(names.begin(), names.end(), spec.component) == names.end())
      names.push_back(spec.component);
  }
  return names;
}

void Manifest::fill_sizes(const SafetensorsFile& file) {
  for (TensorSpec& spec : tensors_) {
    if (std::count(spec.shape.begin(), spec.shape.end(), kAnySize) == 0) continue;
    const StoredTensor& stored = file.at(spec.name);
    check_shape(spec, stored, file.path());
    spec.shape = stored.shape;
  }
}

void Manifest::check(const SafetensorsFile& checkpoint) const {
  for (const TensorSpec& spec : tensors_) {
    const StoredTensor& stored = checkpoint.at(spec.name);
    check_shape(spec, stored, checkpoint.path());
    const bool is_exact = spec.role == Role::data && spec.dtype != DType::float32;
    TTSRT_CHECK(FormatError, !is_exact || stored.dtype == spec.dtype, checkpoint.path(), ": ",
                spec.name, ": expected ", name_of(spec.dtype), ", got ", name_of(stored.dtype));
  }
}

}  // namespace ttsrt::model
