#include "bound_plugin.h"

#include <algorithm>
#include <utility>

#include "common/op.h"
#include "core/check.h"
#include "reports.h"

namespace ttsrt::plugins::test {
namespace {

// The common fields that a kind knows, and those of the call.
Fields fields_of(const Kind& kind, const PluginCall& call, const Fields& common) {
  Fields fields;
  for (const Field& field : common) {
    const auto has_name = [&field](const auto& other) { return other.name == field.name; };
    const bool is_known = std::any_of(kind.fields.begin(), kind.fields.end(), has_name);
    const bool is_replaced = std::any_of(call.fields.begin(), call.fields.end(), has_name);
    if (is_known && !is_replaced) fields.push_back(field);
  }
  fields.insert(fields.end(), call.fields.begin(), call.fields.end());
  return fields;
}

}  // namespace

BoundPlugin::BoundPlugin(const PluginCall& call, const Common& common, cuda::DeviceMemory& memory)
    : kind_(call.kind), extents_(common.extents) {
  const Kind& kind = kind_of(call.kind);
  const Fields fields = fields_of(kind, call, common.fields);
  const std::unique_ptr<Op> op = kind.make(fields);
  const Reports reports;
  const std::unique_ptr<Plugin> built = common.harness.make(call.kind, fields);
  if (built != nullptr) plugin_ = built->from_plan();
  TTSRT_CHECK(InternalError, plugin_ != nullptr, kind_, ": ", reports.last());
  bind(op->signature().inputs(), call, common, inputs_);
  bind(op->signature().outputs(), call, common, outputs_);
  workspace_ = memory.take_bytes_of(plugin_->workspace_bytes(), "workspaces");
}

void BoundPlugin::bind(const std::vector<Port>& ports, const PluginCall& call, const Common& common,
                       std::vector<Bound>& to) const {
  for (const Port& port : ports) {
    auto found = call.addresses.find(port.name);
    if (found == call.addresses.end()) {
      found = common.addresses.find(port.name);
      TTSRT_CHECK(InternalError, found != common.addresses.end(), kind_, ": no address of ",
                  port.name);
    }
    to.push_back({port, const_cast<void*>(found->second)});
  }
}

std::vector<Tensor> BoundPlugin::tensors(const std::vector<Bound>& of, std::int64_t rows) const {
  const auto value_of = [&](const Extent& extent) {
    if (extent.is_fixed()) return extent.number;
    if (extent.letter == 'R') return rows;
    return extent.letter == 'S' ? extents_.slots : extents_.vectors;
  };
  std::vector<Tensor> all;
  for (const Bound& bound : of) {
    Tensor& tensor = all.emplace_back();
    tensor.data = bound.data;
    for (const Extent& extent : bound.port.shape) tensor.dims.push_back(value_of(extent));
  }
  return all;
}

void BoundPlugin::configure(std::int64_t rows) const {
  std::vector<Dims> given;
  std::vector<Dims> bound;
  for (const Tensor& tensor : tensors(inputs_, rows)) given.push_back(tensor.dims);
  for (const Tensor& tensor : tensors(outputs_, rows)) bound.push_back(tensor.dims);
  const Reports reports;
  TTSRT_CHECK(InternalError, plugin_->configure(given) == 0 && reports.count() == 0, kind_, ": ",
              reports.last());
  TTSRT_CHECK(InternalError, plugin_->output_dims(given) == bound, kind_,
              ": the outputs have other shapes than the bound tensors ", reports.last());
}

void BoundPlugin::enqueue(std::int64_t rows, cudaStream_t stream) const {
  configure(rows);
  const Reports reports;
  const std::int32_t status =
      plugin_->enqueue(tensors(inputs_, rows), tensors(outputs_, rows), workspace_, stream);
  TTSRT_CHECK(InternalError, status == 0, kind_, ": ", reports.last());
}

}  // namespace ttsrt::plugins::test
