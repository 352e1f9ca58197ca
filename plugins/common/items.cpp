#include "common/items.h"

#include "common/nested.h"
#include "cuda/launch_whole.h"

namespace ttsrt::plugins {
namespace {

// Every op here reads the arrays of whole items in the tables of a launch.
void check_items(const char* plugin, const LaunchAttributes& launch) {
  launch.check(plugin);
  check_at_least(plugin, "max_segments", 1, launch.max_segments);
}

}  // namespace

void ScheduleAttributes::check(const char* plugin) const {
  check_is_count(plugin, "schedule_rows", 1, rows);
  check_is_count(plugin, "schedule_width", 1, width);
}

void ScheduleAttributes::add_to(Signature& signature) const {
  signature.add_input({"schedule", Type::float32, {rows, width}});
}

void ScheduleAttributes::check_columns(const char* plugin, const char* field, std::int32_t first,
                                       std::int32_t count) const {
  check_is_one_of(plugin, field, 0, std::int64_t{width} - count, first);
}

LoadRows::LoadRows(LoadRowsAttributes attributes) : OpOf(std::move(attributes)) {
  check_items(kName, at_.launch);
  check_is_count(kName, "array_rows", 1, at_.array_rows);
  check_is_count(kName, "width", 1, at_.width);
  check_is_one_of(kName, "has_branches", 0, 1, at_.has_branches);
  add_rows(signature_);
  at_.launch.add_to(signature_);
  const std::int32_t branches = at_.has_branches != 0 ? 2 : 1;
  signature_.add_input({"array", Type::float32, {'S', branches, at_.array_rows, at_.width}});
  signature_.add_output({"out", Type::float32, {'R', at_.width}});
  add_token(signature_);
}

void LoadRows::enqueue(const Call& call) const {
  cuda::ItemRowsArgs args;
  args.rows = at_.launch.view(call);
  args.array.data = call.input<float>("array");
  args.array.rows = at_.array_rows;
  args.array.width = at_.width;
  args.array.has_branches = at_.has_branches != 0;
  args.x = call.output<float>("out");
  args.stride = at_.width;
  args.max_rows = call.rows();
  cuda::load_item_rows(args, call.stream);
}

ModulatedNorm::ModulatedNorm(ModulatedNormAttributes attributes) : OpOf(std::move(attributes)) {
  check_items(kName, at_.launch);
  at_.schedule.check(kName);
  check_is_count(kName, "width", 1, at_.width);
  at_.schedule.check_columns(kName, "scale", at_.scale, at_.width);
  at_.schedule.check_columns(kName, "shift", at_.shift, at_.width);
  signature_.add_input({"x", Type::float32, {'R', at_.width}});
  at_.launch.add_to(signature_);
  at_.schedule.add_to(signature_);
  signature_.add_output({"out", Type::float32, {'R', at_.width}});
  add_token(signature_);
}

void ModulatedNorm::enqueue(const Call& call) const {
  cuda::ModulatedNormArgs args;
  args.rows = at_.launch.view(call);
  args.schedule = call.input<const float>("schedule");
  args.schedule_width = at_.schedule.width;
  args.x = call.input<const float>("x");
  args.out = call.output<float>("out");
  args.width = at_.width;
  args.scale = at_.scale;
  args.shift = at_.shift;
  args.epsilon = at_.epsilon;
  args.max_rows = call.rows();
  cuda::modulated_norm(args, call.stream);
}

AddModulated::AddModulated(AddModulatedAttributes attributes) : OpOf(std::move(attributes)) {
  check_items(kName, at_.launch);
  at_.schedule.check(kName);
  check_is_count(kName, "width", 1, at_.width);
  at_.schedule.check_columns(kName, "gate", at_.gate, at_.width);
  signature_.add_input({"x", Type::float32, {'R', at_.width}});
  signature_.add_input({"addend", Type::float32, {'R', at_.width}});
  at_.launch.add_to(signature_);
  at_.schedule.add_to(signature_);
  signature_.add_output({"out", Type::float32, {'R', at_.width}});
  add_token(signature_);
}

void AddModulated::enqueue(const Call& call) const {
  cuda::UnfoldArgs copy;  // windows of one row
  copy.rows = at_.launch.view(call);
  copy.x = call.input<const float>("addend");
  copy.out = call.output<float>("out");
  copy.width = at_.width;
  copy.kernel = 1;
  copy.is_causal = true;
  copy.max_rows = call.rows();
  cuda::unfold(copy, call.stream);
  cuda::AddModulatedArgs args;
  args.rows = copy.rows;
  args.schedule = call.input<const float>("schedule");
  args.schedule_width = at_.schedule.width;
  args.x = call.input<const float>("x");
  args.out = copy.out;
  args.width = at_.width;
  args.gate = at_.gate;
  args.max_rows = call.rows();
  cuda::add_modulated(args, call.stream);
}

GroupedConv::GroupedConv(GroupedConvAttributes attributes) : OpOf(std::move(attributes)) {
  check_items(kName, at_.launch);
  check_is_count(kName, "width", 1, at_.width);
  check_is_count(kName, "outputs", 1, at_.outputs);
  check_is_one_of(kName, "groups", 1, at_.width, at_.groups);
  check_is_count(kName, "kernel", 1, at_.kernel);
  check_is_one_of(kName, "activate", 0, static_cast<std::int64_t>(cuda::Activation::mish),
                  at_.activate);
  TTSRT_CHECK(ConfigError, at_.width % at_.groups == 0, kName,
              ": groups: expected a divisor of the ", at_.width, " columns, got ", at_.groups);
  TTSRT_CHECK(ConfigError, at_.outputs % (at_.groups * cuda::kTile) == 0, kName,
              ": outputs: expected a multiple of ", cuda::kTile, " for each of the ", at_.groups,
              " groups, got ", at_.outputs);
  TTSRT_CHECK(ConfigError, at_.kernel % 2 == 1, kName, ": kernel: expected an odd number, got ",
              at_.kernel);
  signature_.add_input({"x", Type::float32, {'R', at_.width}});
  at_.launch.add_to(signature_);
  signature_.add_input(packed_port("weight", kName, at_.weight_type, at_.outputs, inputs()));
  signature_.add_input({"bias", Type::float32, {at_.outputs}});
  signature_.add_output({"out", Type::float32, {'R', at_.outputs}});
  add_token(signature_);
}

void GroupedConv::enqueue(const Call& call) const {
  cuda::GroupedConvArgs args;
  args.rows = at_.launch.view(call);
  args.x = call.input<const float>("x");
  args.out = call.output<float>("out");
  args.weight =
      packed_weight(call.input<const void>("weight"), at_.weight_type, at_.outputs, inputs());
  args.bias = call.input<const float>("bias");
  args.width = at_.width;
  args.groups = at_.groups;
  args.kernel = at_.kernel;
  args.activate = static_cast<cuda::Activation>(at_.activate);
  args.max_rows = call.rows();
  cuda::grouped_conv(args, call.stream);
}

FlowStep::FlowStep(FlowStepAttributes attributes) : OpOf(std::move(attributes)) {
  check_items(kName, at_.launch);
  at_.slots.check(kName);
  check_is_count(kName, "array_rows", 1, at_.array_rows);
  check_at_least(kName, "max_context_rows", 1, at_.slots.max_context_rows);
  check_at_least(kName, "dim", 1, at_.slots.dim);
  const std::int64_t dim = at_.slots.dim;
  signature_.add_input({"velocity", Type::float32, {'R', dim}});
  at_.launch.add_to(signature_);
  at_.slots.add_to(signature_, at_.launch);
  at_.faults.add_to(signature_, at_.launch);
  signature_.add_input({"base", Type::float32, {'S', 1, at_.array_rows, dim}, true});
  signature_.add_input({"fixed", Type::float32, {'S', 1, at_.array_rows, dim}});
  signature_.add_input({"mask", Type::float32, {'S', 1, at_.array_rows, 1}});
  add_token(signature_);
}

cuda::RowArrayView FlowStep::array(const Call& call, const char* name, std::int32_t width) const {
  return {call.input<float>(name), at_.array_rows, width, false};
}

void FlowStep::enqueue(const Call& call) const {
  cuda::FlowStepArgs args;
  args.rows = at_.launch.view(call);
  args.slots = at_.slots.view(call, at_.launch);
  args.faults = at_.faults.view(call);
  args.velocity = call.input<const float>("velocity");
  args.width = at_.slots.dim;
  args.base = array(call, "base", at_.slots.dim);
  args.fixed = array(call, "fixed", at_.slots.dim);
  args.mask = array(call, "mask", 1);
  args.max_rows = call.rows();
  cuda::flow_step(args, call.stream);
}

}  // namespace ttsrt::plugins
