// Writes a Program as layers of a network.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/bound.h"
#include "common/items.h"
#include "common/nested.h"
#include "cuda/views.h"
#include "tensorrt/program_networks.h"

namespace ttsrt::tensorrt {

class ProgramWriter {
 public:
  ProgramWriter(const ProgramNetworks& networks, NetworkWriter& writer);

  std::vector<Binding> run();

 private:
  // Tensors of a plugin by the names of its ports.
  using Given = std::vector<std::pair<std::string, TensorId>>;

  void write(const ops::EmbedRows& op);
  void write(const ops::Norm& op);
  void write(const ops::Linear& op);
  void write(const ops::Gate& op);
  void write(const ops::LoadRows& op);
  void write(const ops::ModulatedNorm& op);
  void write(const ops::AddModulated& op);
  void write(const ops::GroupedConv& op);
  void write(const ops::FlowStep& op);
  void write(const ops::Unfold& op);
  void write(const ops::SelfAttention& op);
  void write(const ops::StoreMemory& op);
  void write(const ops::CrossAttention& op);
  void write(const ops::StoreContext& op);
  void write(const ops::ClearScores& op);
  void write(const ops::UpdatePrior& op);
  void write(const ops::SampleCodes& op);
  void write(const ops::PickCodes& op);
  void write(const ops::FinishStep& op);
  void write(const ops::EmitRows&) {}
  template <class Other>
  void write(const Other&) {
    throw InternalError("tensorrt: an op that no network has");
  }

  // What the plugins' attributes have in common.
  plugins::LaunchAttributes launch() const;
  plugins::SlotAttributes slots() const;
  plugins::FaultAttributes faults() const;
  plugins::CacheAttributes cache() const;
  plugins::MemoryAttributes memory(ops::Memory which, std::int32_t layer) const;
  plugins::ScheduleAttributes schedule() const;

  // Adds a plugin: ports that are not given are bound by their names. Returns its outputs without
  // the token.
  template <class Attributes>
  std::vector<TensorId> add(const char* kind, const Attributes& attributes, const Given& given) {
    return add_plugin(kind, plugins::to_fields(attributes), given);
  }
  std::vector<TensorId> add_plugin(const char* kind, const Fields& fields, const Given& given);
  TensorId bind_port(const plugins::Port& port);
  TensorId bind(Binding binding, Type type, Dims dims);
  TensorId bind_table(const ops::Weight& weight, Type type, Dims dims);
  TensorId bind_product(const ops::Weight& weight, Type type, Dims dims);
  TensorId bind_draws(ops::BufferId buffer, std::int64_t width);  // what a plugin writes in place
  TensorId bind_array(std::int32_t index);                        // of rows that slots keep

  // Activations.
  TensorId read(ops::BufferId buffer) const;
  void set(ops::BufferId buffer, TensorId tensor);
  void add_outputs();
  const ops::Activation& activation(ops::BufferId buffer) const {
    return networks_.program().activations[static_cast<std::size_t>(buffer)];
  }

  // Native layers.
  TensorId matrix(const ops::Weight& weight);
  TensorId vector(const ops::Weight& weight);
  TensorId number(float value);
  TensorId activate(ops::Activate function, TensorId x);
  TensorId sum(TensorId a, TensorId b) { return writer_.combine(Binary::sum, a, b); }
  TensorId times(TensorId a, TensorId b) { return writer_.combine(Binary::product, a, b); }

  plugins::NestedAttributes nested(const ops::NestedProgram& network) const;
  Given nested_weights(const ops::PickCodes& op);

  const ProgramNetworks& networks_;
  NetworkWriter& writer_;
  std::size_t op_ = 0;
  std::vector<Binding> bindings_;
  std::map<std::string, TensorId> bound_;           // by name
  std::map<ops::BufferId, TensorId> tensors_;       // activations as they are now
  std::map<const std::byte*, std::string> tables_;  // names of what is bound, by address
  std::map<const std::byte*, TensorId> constants_;
  TensorId token_ = -1;
};

// Of the types that check_types() lets pass: as plugins count and name them.
inline std::int32_t element_of(DType dtype) {
  return static_cast<std::int32_t>(dtype == DType::float16 ? cuda::Element::float16
                                                           : cuda::Element::float32);
}
std::int32_t number_of(ops::Activate activate);  // as cuda::Activation; ConfigError for elu
inline Type type_of(DType dtype) { return dtype == DType::float16 ? Type::float16 : Type::float32; }

// The bytes of a weight, row-major: [rows, cols] of its type.
std::vector<std::byte> row_major(const ops::Weight& weight);

}  // namespace ttsrt::tensorrt
