#include "common/nested.h"

#include "common/heads.h"
#include "cuda/launch.h"

namespace ttsrt::plugins {
namespace {

constexpr auto kLastActivation = static_cast<std::int32_t>(cuda::Activation::mish);

std::int64_t padded_to(std::int64_t size, std::int64_t unit) {
  return (size + unit - 1) / unit * unit;
}

// Checks the ops of one Program.
class Checker {
 public:
  Checker(const char* plugin, const NestedAttributes& at) : plugin_(plugin), at_(at) {}

  void check(std::int64_t op, bool needs_causal) {
    op_ = op;
    const NestedOp of = at_.at(op);
    is_activation("x", of.x);
    is_activation("out", of.out);
    const std::int64_t x = at_.width(of.x);
    const std::int64_t out = at_.width(of.out);
    switch (of.kind) {
      case NestedKind::norm:
        is_width(x, out);
        expect(of.real > 0.0F, "epsilon above 0", of.real);
        break;
      case NestedKind::linear:
        is_activate(of.activate());
        if (of.addend() >= 0) {
          is_activation("addend", of.addend());
          is_width(out, at_.width(of.addend()));
        }
        expect(of.addend() >= -1, "addend, or -1", of.addend());
        break;
      case NestedKind::gate:
        is_activate(of.activate());
        is_width(x, 2 * out);
        break;
      case NestedKind::attention:
        check_heads(plugin_, of.heads(), of.kv_heads(), of.head_dim());
        is_width(x, std::int64_t{of.heads() + 2 * of.kv_heads()} * of.head_dim());
        is_width(out, std::int64_t{of.heads()} * of.head_dim());
        if (of.rope_width() != 0) check_rope(plugin_, of.rope_width(), of.head_dim());
        expect(of.is_causal() || !needs_causal, "causal attention, as places follow each other",
               of.d);
        break;
    }
  }

 private:
  template <class Got>
  void expect(bool condition, const char* what, const Got& got) const {
    TTSRT_CHECK(ConfigError, condition, plugin_, ": nested op ", op_, ": expected ", what, ", got ",
                got);
  }
  void is_activation(const char* which, std::int32_t index) const {
    TTSRT_CHECK(ConfigError, index >= 0 && static_cast<std::size_t>(index) < at_.widths.size(),
                plugin_, ": nested op ", op_, ": ", which, ": expected one of ", at_.widths.size(),
                " activations, got ", index);
  }
  void is_width(std::int64_t expected, std::int64_t got) const {
    TTSRT_CHECK(ConfigError, expected == got, plugin_, ": nested op ", op_, ": expected ", expected,
                " columns, got ", got);
  }
  void is_activate(std::int32_t activate) const {
    expect(activate >= 0 && activate <= kLastActivation, "an activation of cuda/launch.h",
           activate);
  }

  const char* plugin_;
  const NestedAttributes& at_;
  std::int64_t op_ = 0;
};

}  // namespace

NestedOp NestedAttributes::at(std::int64_t op) const {
  const std::int32_t* record = ops.data() + op * kRecord;
  return {static_cast<NestedKind>(record[0]),
          record[1],
          record[2],
          record[3],
          record[4],
          record[5],
          record[6],
          record[7],
          reals[static_cast<std::size_t>(op)]};
}

void NestedAttributes::check(const char* plugin, bool needs_causal) const {
  TTSRT_CHECK(ConfigError, !reals.empty() && ops.size() == reals.size() * kRecord, plugin,
              ": nested_ops: expected ", kRecord, " numbers for each of nested_reals, got ",
              ops.size(), " and ", reals.size());
  for (const std::int32_t width : widths) check_is_count(plugin, "nested_widths", 1, width);
  check_is_one_of(plugin, "nested_output", 0, static_cast<std::int64_t>(widths.size()) - 1, output);
  Checker checker(plugin, *this);
  for (std::int64_t op = 0; op < size(); ++op) {
    check_is_one_of(plugin, "nested_ops: kind", 0, static_cast<std::int64_t>(NestedKind::attention),
                    ops[static_cast<std::size_t>(op * kRecord)]);
    checker.check(op, needs_causal);
  }
}

std::string nested_weight(std::int64_t op, const char* name) {
  return "op" + std::to_string(op) + "." + name;
}

cuda::ProductWeight packed_weight(const void* data, std::int32_t element, std::int64_t outputs,
                                  std::int64_t inputs) {
  const bool is_half = static_cast<cuda::Element>(element) == cuda::Element::float16;
  cuda::ProductWeight weight;
  weight.data = data;
  weight.format = is_half ? cuda::Format::float16 : cuda::Format::float32;
  weight.outputs = outputs;
  weight.inputs = inputs;
  weight.padded_inputs = padded_to(inputs, cuda::unit_of(weight.format));
  return weight;
}

Port packed_port(std::string name, const char* plugin, std::int32_t element, std::int64_t outputs,
                 std::int64_t inputs) {
  const Type type = float_type(plugin, "weight_type", element);
  const cuda::ProductWeight weight = packed_weight(nullptr, element, outputs, inputs);
  return {std::move(name), type, {padded_to(outputs, cuda::kTile), weight.padded_inputs}};
}

}  // namespace ttsrt::plugins
