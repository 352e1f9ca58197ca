// Which tensors a plugin takes and gives: names, types and shapes, each said once as data. Shape
// rule, format rule and the checks of every call follow from it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/types.h"

namespace ttsrt::plugins {

// An extent that attributes fix, or a letter: the same number wherever it stands. 'R' are the rows
// of the launch.
struct Extent {
  Extent(char of) : letter(of) {}          // NOLINT(google-explicit-constructor)
  Extent(std::int64_t of) : number(of) {}  // NOLINT(google-explicit-constructor)
  Extent(std::int32_t of) : number(of) {}  // NOLINT(google-explicit-constructor)

  bool is_fixed() const { return letter == 0; }

  char letter = 0;
  std::int64_t number = 0;
};

struct Port {
  std::string name;
  Type type = Type::float32;
  std::vector<Extent> shape;
  bool is_written = false;  // in place, of an input
};

// Where an extent of an output comes from: `input` below 0 means that it is `number`.
struct ExtentSource {
  std::int32_t input = -1;
  std::int32_t dim = 0;
  std::int64_t number = 0;
};

class Signature {
 public:
  void add_input(Port port) { inputs_.push_back(std::move(port)); }
  void add_output(Port port) { outputs_.push_back(std::move(port)); }

  const std::vector<Port>& inputs() const { return inputs_; }
  const std::vector<Port>& outputs() const { return outputs_; }
  // Of inputs, then outputs, as TensorRT counts them; throws InternalError where there is none.
  const Port& port(std::int32_t position) const;
  // Index of a port, or -1.
  std::int32_t input(std::string_view name) const { return find(inputs_, name); }
  std::int32_t output(std::string_view name) const { return find(outputs_, name); }

  // The format rule: a port has one type, and every tensor is linear. So TensorRT has no choice
  // that could put a copy between a bound tensor and the plugin that writes it.
  bool takes(std::int32_t position, Type type, bool is_linear) const;

  // The shape rule: a row for each output, one entry for each of its extents.
  std::vector<std::vector<ExtentSource>> shape_rule() const;

  // Throws ConfigError, which begins with `plugin`, where the number of inputs, a rank or an extent
  // is another, or a letter has two values. Extents below 0 are not known yet. Returns the value of
  // 'R', or -1 where it is not known.
  std::int64_t check(const char* plugin, const std::vector<Dims>& inputs,
                     std::int64_t max_rows) const;

 private:
  static std::int32_t find(const std::vector<Port>& ports, std::string_view name);

  std::vector<Port> inputs_;
  std::vector<Port> outputs_;
};

}  // namespace ttsrt::plugins
