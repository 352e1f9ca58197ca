// The shapes of one Program, as the checks of its ops ask for them. Each check throws
// InternalError.
#pragma once

#include <cstdint>

#include "core/check.h"
#include "ops/backend.h"
#include "ops/program.h"

namespace ttsrt::ops {

class ShapeCheck {
 public:
  ShapeCheck(const Program& program, const StateSpec& spec) : program_(program), spec_(spec) {}

 protected:
  template <typename... Parts>
  void expect(bool holds, const Parts&... parts) const {
    TTSRT_CHECK(InternalError, holds, program_.name, ": ", parts...);
  }

  // An activation of any rate.
  const Activation& activation_of(BufferId buffer, RowSpace space = RowSpace::rows) const {
    expect(buffer >= 0 && static_cast<std::size_t>(buffer) < program_.activations.size(), "buffer ",
           buffer, " of ", program_.activations.size());
    const Activation& activation = program_.activations[static_cast<std::size_t>(buffer)];
    expect(activation.space == space, activation.name, ": expected one row per ",
           space == RowSpace::rows ? "row" : "draw");
    return activation;
  }

  // The width of an activation that has one row for each row or draw.
  std::int64_t width(BufferId buffer, RowSpace space = RowSpace::rows) const {
    const Activation& activation = activation_of(buffer, space);
    expect(activation.rate == 1, activation.name, ": expected rate 1, got ", activation.rate);
    return activation.width;
  }

  void expect_width(BufferId buffer, std::int64_t expected, RowSpace space = RowSpace::rows) const {
    const std::int64_t got = width(buffer, space);
    expect(got == expected, program_.activations[static_cast<std::size_t>(buffer)].name,
           ": expected width ", expected, ", got ", got);
  }

  const Activation& expect_rated(BufferId buffer, std::int64_t width, std::int64_t rate) const {
    const Activation& activation = activation_of(buffer);
    expect(activation.width == width && activation.rate == rate, activation.name,
           ": expected width ", width, " and rate ", rate, ", got ", activation.width, " and ",
           activation.rate);
    return activation;
  }

  void expect_vector(const Weight& weight, std::int64_t size) const {
    expect(
        weight.is_present() && weight.dtype == DType::float32 && weight.rows * weight.cols == size,
        weight.name, ": expected float32 [", size, "]");
  }

  void check_table(const Weight& table, std::int64_t dim) const {
    expect(!table.is_present() || (table.layout == Layout::dense && table.cols == dim), table.name,
           ": expected a dense table of width ", dim, ", got ", table.cols);
  }

  const Program& program_;
  const StateSpec& spec_;
};

// Those of ops/whole_ops.h.
class WholeShapes : public ShapeCheck {
 public:
  using ShapeCheck::ShapeCheck;

  void check(const LoadRows& op) const;
  void check(const SaveRows& op) const;
  void check(const StoreSchedule& op) const;
  void check(const ModulatedNorm& op) const;
  void check(const AddModulated& op) const;
  void check(const ClearFiller& op) const;
  void check(const StretchText& op) const;
  void check(const DepthwiseConv& op) const;
  void check(const GroupedConv& op) const;
  void check(const ResponseNorm& op) const;
  void check(const FlowStep& op) const;
  void check(const JoinColumns& op) const;
  void check(const ActivateRows& op) const;
  void check(const DistanceRows& op) const;
  void check(const RelativeAttention& op) const;
  void check(const PolarSpectrum& op) const;
  void check(const OverlapAdd& op) const;
  void check(const EmitRows& op) const;

 protected:
  const StateSpec::RowArray& array_of(std::int32_t array, std::int64_t width) const;

 private:
  void check_columns(std::int32_t first, std::int64_t count) const;
  void expect_distances(BufferId buffer, std::int64_t width) const;
};

// Those of ops/rate_ops.h and ops/source_ops.h.
class RateShapes : public WholeShapes {
 public:
  using WholeShapes::check;
  using WholeShapes::WholeShapes;

  void check(const DequantizeCodes& op) const;
  void check(const HalfSnake& op) const;
  void check(const TimeConv& op) const;
  void check(const Upsample& op) const;
  void check(const Clamp& op) const;
  void check(const SplitRows& op) const;
  void check(const QuantizeRows& op) const;
  void check(const ShiftRows& op) const;
  void check(const HarmonicSource& op) const;
  void check(const FadeIn& op) const;

 private:
  void check_past(std::int32_t past, std::int64_t rows, std::int64_t width) const;
};

}  // namespace ttsrt::ops
