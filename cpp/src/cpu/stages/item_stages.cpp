#include "cpu/stages/item_stages.h"

#include <cstring>
#include <functional>
#include <utility>

#include "core/check.h"
#include "cpu/stages/row_stages.h"
#include "rules/stretch.h"

namespace ttsrt::cpu {
namespace {

std::size_t bytes_of(std::int64_t width) { return static_cast<std::size_t>(width) * sizeof(float); }

// A row of a launch with its segment.
struct RowOf {
  const step::Segment& segment;
  std::int64_t row;

  std::int64_t index() const { return row - segment.first_row; }
  std::int64_t position() const { return segment.position + index(); }
  bool is_gone() const { return segment.slot == step::kNoSlot; }
};

// Runs a function for each row; threads have rows of their own.
template <typename Each>
class RowsStage : public Stage {
 public:
  RowsStage(const Site& site, const char* label, Each each)
      : site_(site), label_(label), each_(std::move(each)) {}

  std::string label() const override { return label_; }
  bool is_needed() const override { return site_.launch->rows > 0; }
  void run(const Worker& worker) override {
    const Range rows = share_of(site_.launch->rows, worker);
    for (std::int64_t row = rows.begin; row < rows.end; ++row)
      each_(RowOf{site_.launch->segment(static_cast<std::int32_t>(row)), row});
  }

 private:
  Site site_;
  const char* label_;
  Each each_;
};

template <typename Each>
void add_rows(const Site& site, const char* label, Each each, Stages& stages) {
  stages.push_back(std::make_unique<RowsStage<Each>>(site, label, std::move(each)));
}

const float* columns_of(const Site& site, std::int64_t row) {
  return site.launch->schedule[static_cast<std::size_t>(row)];
}

// The steps of the integration of one item.
struct Integrator {
  Site site;
  ops::FlowStep op;
  Rows velocity;

  void operator()(const RowOf& of) const {
    const step::Segment& segment = of.segment;
    if (of.is_gone() || segment.branch != step::Branch::conditional) return;
    const auto& segments = site.launch->batch->segments;
    const auto index = static_cast<std::size_t>(&segment - segments.data());
    const step::Segment* partner = step::partner_of(segments, index);
    float* base = array_row(op.base, of);
    float* state = site.slots->context_row(
        segment.slot, segment.kept_offset + static_cast<std::int32_t>(of.index()));
    if (segment.is_last && op.mask >= 0 && *array_row(op.mask, of) != 0.0F) {
      std::memcpy(state, array_row(op.fixed, of), bytes_of(velocity.width));
      return;
    }
    IntegrateArgs args = {};
    args.conditional = velocity.row(of.row);
    if (partner != nullptr) args.unconditional = velocity.row(partner->first_row + of.index());
    args.base = base;
    args.state = state;
    args.strength = site.slots->rules[static_cast<std::size_t>(segment.slot)].flow_scale;
    args.step_size = segment.step_size;
    args.count = velocity.width;
    if (!site.kernels->integrate(args)) site.add_fault(static_cast<std::int32_t>(of.row));
    if (segment.ends_step) std::memcpy(base, state, bytes_of(velocity.width));
  }

  float* array_row(std::int32_t array, const RowOf& of) const {
    return site.slots->array_row(array, of.segment.slot, step::Branch::conditional, of.position());
  }
};

}  // namespace

Modulation modulation_of(const ops::ModulatedNorm& op, std::int64_t width) {
  return {width, op.scale, op.shift, op.epsilon};
}

void add_load_rows(const Site& site, const ops::LoadRows& op, const Rows& out, Stages& stages) {
  const auto each = [site, op, out](const RowOf& of) {
    const float* from = of.is_gone()
                            ? nullptr
                            : site.slots->array_row(op.array, of.segment.slot, of.segment.branch,
                                                    of.position() / op.repeat);
    float* to = out.row(of.row);
    from != nullptr ? std::memcpy(to, from, bytes_of(out.width))
                    : std::memset(to, 0, bytes_of(out.width));
  };
  add_rows(site, "load rows", each, stages);
}

void add_save_rows(const Site& site, const ops::SaveRows& op, const Rows& x, Stages& stages) {
  const std::int64_t width = site.slots->spec().rows[static_cast<std::size_t>(op.array)].width;
  const auto each = [site, op, x, width](const RowOf& of) {
    if (of.is_gone()) return;
    float* to = site.slots->array_row(op.array, of.segment.slot, of.segment.branch, of.position());
    if (to == nullptr) return;
    if (!site.kernels->copy(x.row(of.row) + op.first, width, to))
      site.add_fault(static_cast<std::int32_t>(of.row));
  };
  add_rows(site, "save rows", each, stages);
}

void add_store_schedule(const Site& site, const Rows& x, Stages& stages) {
  const auto each = [site, x](const RowOf& of) {
    if (of.is_gone()) return;
    float* to =
        site.slots->schedule_row(site.slots->spec().stored_schedule_row(of.segment, of.position()));
    if (!site.kernels->copy(x.row(of.row), x.width, to))
      site.add_fault(static_cast<std::int32_t>(of.row));
  };
  add_rows(site, "store schedule", each, stages);
}

void add_modulated_norm(const Site& site, const ops::ModulatedNorm& op, const Rows& x,
                        const Rows& out, Stages& stages) {
  const Modulation modulation = modulation_of(op, x.width);
  const auto each = [site, modulation, x, out](const RowOf& of) {
    site.kernels->norm(x.row(of.row), modulation.args(columns_of(site, of.row)), out.row(of.row));
  };
  add_rows(site, "modulated norm", each, stages);
}

void add_modulated(const Site& site, const ops::AddModulated& op, const Rows& x, const Rows& out,
                   Stages& stages) {
  const auto each = [site, op, x, out](const RowOf& of) {
    site.kernels->add_products(x.row(of.row), columns_of(site, of.row) + op.gate, x.width,
                               out.row(of.row));
  };
  add_rows(site, "add modulated", each, stages);
}

void add_clear_filler(const Site& site, const Rows& x, Stages& stages) {
  const auto each = [site, x](const RowOf& of) {
    if (of.is_gone()) return;
    const auto slot = static_cast<std::size_t>(of.segment.slot);
    if (of.position() >= site.slots->rules[slot].text_len)
      std::memset(x.row(of.row), 0, bytes_of(x.width));
  };
  add_rows(site, "clear filler", each, stages);
}

void add_stretch_text(const Site& site, const Rows& x, const Rows& out, Stages& stages) {
  const auto each = [site, x, out](const RowOf& of) {
    const step::Segment& segment = of.segment;
    const std::int32_t text_len =
        of.is_gone() ? 1 : site.slots->rules[static_cast<std::size_t>(segment.slot)].text_len;
    const std::int32_t from =
        rules::stretched_from(static_cast<std::int32_t>(of.index()), segment.rows, text_len);
    std::memcpy(out.row(of.row), x.row(segment.first_row + from), bytes_of(x.width));
  };
  add_rows(site, "stretch text", each, stages);
}

void add_join_columns(const Site& site, std::vector<Rows> parts, const Rows& out, Stages& stages) {
  const auto each = [parts = std::move(parts), out](const RowOf& of) {
    float* to = out.row(of.row);
    for (const Rows& part : parts) {
      std::memcpy(to, part.row(of.row), bytes_of(part.width));
      to += part.width;
    }
  };
  add_rows(site, "join columns", each, stages);
}

void add_activate_rows(const Site& site, const ops::ActivateRows& op, const Rows& x,
                       const Rows& out, Stages& stages) {
  const Activation activation = activation_of(op.activate);
  const auto each = [site, op, activation, x, out](const RowOf& of) {
    float* to = out.row(of.row);
    site.kernels->activate(x.row(of.row), activation, x.width, to);
    for (std::int64_t i = 0; i < x.width && op.scale != 1.0F; ++i) to[i] *= op.scale;
    if (op.shift >= 0) site.kernels->add(columns_of(site, of.row) + op.shift, x.width, to);
  };
  add_rows(site, "activate rows", each, stages);
}

void add_flow_step(const Site& site, const ops::FlowStep& op, const Rows& velocity,
                   Stages& stages) {
  add_rows(site, "flow step", Integrator{site, op, velocity}, stages);
}

}  // namespace ttsrt::cpu
