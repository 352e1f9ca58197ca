#include "common/signature.h"

#include <algorithm>
#include <array>

#include "core/check.h"

namespace ttsrt::plugins {
namespace {

// The values of letters, -1 where unknown.
class Letters {
 public:
  Letters() { values_.fill(-1); }
  std::int64_t& operator[](char letter) { return values_[static_cast<unsigned char>(letter)]; }

 private:
  std::array<std::int64_t, 256> values_;
};

// "[R = 3, 768]"
std::string text_of(const std::vector<Extent>& shape, Letters& letters) {
  std::string text = "[";
  for (const Extent& extent : shape) {
    if (text.size() > 1) text += ", ";
    if (!extent.is_fixed()) text += extent.letter;
    const std::int64_t value = extent.is_fixed() ? extent.number : letters[extent.letter];
    if (!extent.is_fixed() && value >= 0) text += " = ";
    if (value >= 0) text += std::to_string(value);
  }
  return text + "]";
}

bool fits(const Extent& extent, std::int64_t value, Letters& letters) {
  if (value < 0) return true;
  if (extent.is_fixed()) return value == extent.number;
  std::int64_t& known = letters[extent.letter];
  if (known < 0) known = value;
  return value == known;
}

bool fits(const Port& port, const Dims& dims, Letters& letters) {
  if (dims.size() != port.shape.size()) return false;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (!fits(port.shape[i], dims[i], letters)) return false;
  }
  return true;
}

}  // namespace

const Port& Signature::port(std::int32_t position) const {
  const auto at = static_cast<std::size_t>(position);
  TTSRT_CHECK(InternalError, position >= 0 && at < inputs_.size() + outputs_.size(),
              "plugin: no input or output ", position);
  return at < inputs_.size() ? inputs_[at] : outputs_[at - inputs_.size()];
}

std::int32_t Signature::find(const std::vector<Port>& ports, std::string_view name) {
  const auto at = std::find_if(ports.begin(), ports.end(),
                               [name](const Port& port) { return port.name == name; });
  return at == ports.end() ? -1 : static_cast<std::int32_t>(at - ports.begin());
}

bool Signature::takes(std::int32_t position, Type type, bool is_linear) const {
  return is_linear && port(position).type == type;
}

std::vector<std::vector<ExtentSource>> Signature::shape_rule() const {
  const auto source = [this](const Extent& extent) {
    if (extent.is_fixed()) return ExtentSource{-1, 0, extent.number};
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      for (std::size_t d = 0; d < inputs_[i].shape.size(); ++d) {
        if (inputs_[i].shape[d].letter == extent.letter)
          return ExtentSource{static_cast<std::int32_t>(i), static_cast<std::int32_t>(d), 0};
      }
    }
    throw InternalError(message("plugin: no input has the extent ", extent.letter));
  };
  std::vector<std::vector<ExtentSource>> rule;
  for (const Port& port : outputs_) {
    std::vector<ExtentSource>& extents = rule.emplace_back();
    for (const Extent& extent : port.shape) extents.push_back(source(extent));
  }
  return rule;
}

std::int64_t Signature::check(const char* plugin, const std::vector<Dims>& inputs,
                              std::int64_t max_rows) const {
  TTSRT_CHECK(ConfigError, inputs.size() == inputs_.size(), plugin, ": expected ", inputs_.size(),
              " inputs, got ", inputs.size());
  Letters letters;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    TTSRT_CHECK(ConfigError, fits(inputs_[i], inputs[i], letters), plugin, ": ", inputs_[i].name,
                ": expected ", text_of(inputs_[i].shape, letters), ", got ",
                plugins::text_of(inputs[i]));
  }
  const std::int64_t rows = letters['R'];
  TTSRT_CHECK(ConfigError, rows <= max_rows, plugin, ": expected at most ", max_rows,
              " rows, as max_rows says, got ", rows);
  return rows;
}

}  // namespace ttsrt::plugins
