// Ops of whole items as calls of plugins; those that fill what an evaluation reads are launches.
#include <utility>

#include "core/check.h"
#include "cuda/launch_whole.h"
#include "plugin_lowering.h"

namespace ttsrt::plugins::test {

// The fields of a schedule, and of the columns that an op reads.
Fields PluginLowering::schedule_fields(std::int32_t width) const {
  const ops::StateSpec& spec = site_.slots.spec();
  return {number("schedule_rows", spec.all_schedule_rows()),
          number("schedule_width", spec.schedule_width), number("width", width)};
}

void PluginLowering::lower(const ops::LoadRows& op) {
  const cuda::RowArrayView array = site_.slots.array(op.array);
  add({"LoadRows",
       {number("array_rows", array.rows), number("width", array.width),
        number("has_branches", array.has_branches ? 1 : 0)},
       {{"array", array.data}, {"out", buffer(op.out)}}});
}

void PluginLowering::lower(const ops::ModulatedNorm& op) {
  PluginCall call{"ModulatedNorm", schedule_fields(width_of(op.x)), {}};
  call.fields.push_back(number("scale", op.scale));
  call.fields.push_back(number("shift", op.shift));
  call.fields.push_back({"epsilon", Reals{op.epsilon}});
  call.addresses = {{"x", buffer(op.x)}, {"out", buffer(op.out)}};
  add(std::move(call));
}

// An output is another tensor than the addend, and goes back to where that one was.
void PluginLowering::lower(const ops::AddModulated& op) {
  PluginCall call{"AddModulated", schedule_fields(width_of(op.x)), {}};
  call.fields.push_back(number("gate", op.gate));
  const auto width = static_cast<std::size_t>(width_of(op.x));
  const std::size_t count = width * static_cast<std::size_t>(site_.max_rows);
  auto* sum = site_.memory.take<float>(count, "activations");
  call.addresses = {{"x", buffer(op.x)}, {"addend", buffer(op.out)}, {"out", sum}};
  add(std::move(call));
  add_copy(sum, buffer(op.out), width);
}

void PluginLowering::lower(const ops::GroupedConv& op) {
  TTSRT_CHECK(ConfigError, !op.accumulate, "the plugin leaves the sum to a native layer");
  const std::int64_t outputs = op.weight.rows;
  PluginCall call{"GroupedConv", {}, {}};
  call.fields = {
      number("width", width_of(op.x)),
      number("outputs", outputs),
      number("groups", op.groups),
      number("kernel", op.kernel),
      number("activate", static_cast<std::int32_t>(cuda::activation_of(op.activate))),
      number("weight_type", static_cast<std::int32_t>(cuda::element_of(op.weight.dtype)))};
  call.addresses = {{"x", buffer(op.x)},
                    {"weight", site_.weights.product(op.weight).data},
                    {"bias", site_.weights.vector(op.bias)},
                    {"out", buffer(op.out)}};
  add(std::move(call));
}

void PluginLowering::lower(const ops::FlowStep& op) {
  PluginCall call{"FlowStep", {number("array_rows", site_.slots.array(op.base).rows)}, {}};
  call.addresses = {{"velocity", buffer(op.velocity)},
                    {"base", site_.slots.array(op.base).data},
                    {"fixed", site_.slots.array(op.fixed).data},
                    {"mask", site_.slots.array(op.mask).data}};
  add(std::move(call));
}

void PluginLowering::lower(const ops::SaveRows& op) {
  cuda::ItemRowsArgs args;
  args.rows = site_.rows;
  args.faults = {site_.faults, cuda::kNoFault, cuda::kNoFault};
  args.array = site_.slots.array(op.array);
  args.x = buffer(op.x);
  args.stride = width_of(op.x);
  args.first = op.first;
  steps_.emplace_back([args](const LaunchShape& shape, cudaStream_t stream) mutable {
    args.max_rows = shape.rows;
    cuda::save_item_rows(args, stream);
  });
}

void PluginLowering::lower(const ops::StoreSchedule& op) {
  cuda::StoreScheduleArgs args;
  args.rows = site_.rows;
  args.slots = site_.slots.view();
  args.faults = {site_.faults, cuda::kNoFault, cuda::kNoFault};
  args.x = buffer(op.x);
  steps_.emplace_back([args](const LaunchShape& shape, cudaStream_t stream) mutable {
    args.max_rows = shape.rows;
    cuda::store_schedule(args, stream);
  });
}

// What a native layer of TensorRT would do: to[r] = from[r].
void PluginLowering::add_copy(const float* from, float* to, std::size_t width) {
  cuda::UnfoldArgs args;
  args.rows = site_.rows;
  args.x = from;
  args.out = to;
  args.width = static_cast<std::int64_t>(width);
  args.kernel = 1;
  args.is_causal = true;
  steps_.emplace_back([args](const LaunchShape& shape, cudaStream_t stream) mutable {
    args.max_rows = shape.rows;
    cuda::unfold(args, stream);
  });
}

}  // namespace ttsrt::plugins::test
