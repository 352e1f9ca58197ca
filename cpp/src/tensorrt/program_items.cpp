// Ops of whole items, which are plugins: their attributes, and the rows of slots and schedules that
// they read.
#include <algorithm>

#include "common/items.h"
#include "core/check.h"
#include "tensorrt/program_writer.h"

namespace ttsrt::tensorrt {

// As of the cache, a plan depends on the blocks of one sequence, not on how many the pool has.
plugins::ScheduleAttributes ProgramWriter::schedule() const {
  const ops::StateSpec& state = networks_.state();
  TTSRT_CHECK(InternalError, state.schedule_rows == 0, "tensorrt: schedules of slots");
  plugins::ScheduleAttributes schedule;
  schedule.rows = std::max(ops::most_blocks(state), 1) * cuda::kCacheBlock;
  schedule.width = state.schedule_width;
  return schedule;
}

TensorId ProgramWriter::bind_array(std::int32_t index) {
  const ops::StateSpec::RowArray& array = networks_.state().rows[static_cast<std::size_t>(index)];
  const std::int64_t branches = array.has_branches ? 2 : 1;
  return bind({.name = message("array.", index), .home = Home::row_array, .index = index},
              Type::float32, {networks_.state().slots, branches, array.rows, array.width});
}

void ProgramWriter::write(const ops::LoadRows& op) {
  const ops::StateSpec::RowArray& array =
      networks_.state().rows[static_cast<std::size_t>(op.array)];
  plugins::LoadRowsAttributes at;
  at.launch = launch();
  at.array_rows = array.rows;
  at.width = array.width;
  at.has_branches = array.has_branches ? 1 : 0;
  set(op.out, add(plugins::LoadRows::kName, at, {{"array", bind_array(op.array)}}).front());
}

void ProgramWriter::write(const ops::ModulatedNorm& op) {
  plugins::ModulatedNormAttributes at;
  at.launch = launch();
  at.schedule = schedule();
  at.width = static_cast<std::int32_t>(activation(op.x).width);
  at.scale = op.scale;
  at.shift = op.shift;
  at.epsilon = op.epsilon;
  set(op.out, add(plugins::ModulatedNorm::kName, at, {{"x", read(op.x)}}).front());
}

void ProgramWriter::write(const ops::AddModulated& op) {
  plugins::AddModulatedAttributes at;
  at.launch = launch();
  at.schedule = schedule();
  at.width = static_cast<std::int32_t>(activation(op.x).width);
  at.gate = op.gate;
  const Given given = {{"x", read(op.x)}, {"addend", read(op.out)}};
  set(op.out, add(plugins::AddModulated::kName, at, given).front());
}

void ProgramWriter::write(const ops::GroupedConv& op) {
  plugins::GroupedConvAttributes at;
  at.launch = launch();
  at.width = static_cast<std::int32_t>(activation(op.x).width);
  at.outputs = static_cast<std::int32_t>(op.weight.rows);
  at.groups = op.groups;
  at.kernel = op.kernel;
  at.activate = number_of(op.activate);
  at.weight_type = element_of(op.weight.dtype);
  const plugins::Port shape = plugins::packed_port("weight", plugins::GroupedConv::kName,
                                                   at.weight_type, op.weight.rows, op.weight.cols);
  const Dims dims = {shape.shape[0].number, shape.shape[1].number};
  const TensorId bias = bind_table(op.bias, Type::float32, {op.bias.rows * op.bias.cols});
  const Given given = {
      {"x", read(op.x)}, {"weight", bind_product(op.weight, shape.type, dims)}, {"bias", bias}};
  TensorId value = add(plugins::GroupedConv::kName, at, given).front();
  if (op.accumulate) value = sum(read(op.out), value);
  set(op.out, value);
}

void ProgramWriter::write(const ops::FlowStep& op) {
  const std::vector<ops::StateSpec::RowArray>& arrays = networks_.state().rows;
  const auto array = [&](std::int32_t index) { return arrays[static_cast<std::size_t>(index)]; };
  plugins::FlowStepAttributes at;
  at.launch = launch();
  at.slots = slots();
  at.faults = faults();
  at.array_rows = array(op.base).rows;
  for (const std::int32_t index : {op.base, op.fixed, op.mask}) {
    const std::int32_t width = index == op.mask ? 1 : at.slots.dim;
    TTSRT_CHECK(InternalError,
                array(index).rows == at.array_rows && array(index).width == width &&
                    !array(index).has_branches,
                "tensorrt: array ", index, " of a flow: expected ", at.array_rows, " rows of ",
                width, " of one branch, got ", array(index).rows, " of ", array(index).width);
  }
  const Given given = {{"velocity", read(op.velocity)},
                       {"base", bind_array(op.base)},
                       {"fixed", bind_array(op.fixed)},
                       {"mask", bind_array(op.mask)}};
  add(plugins::FlowStep::kName, at, given);
}

}  // namespace ttsrt::tensorrt
