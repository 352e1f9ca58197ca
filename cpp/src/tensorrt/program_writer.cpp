#include "tensorrt/program_writer.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "core/check.h"
#include "ops/faults.h"

namespace ttsrt::tensorrt {
namespace {

// Where ports that all plugins name alike are.
struct NamedHome {
  const char* name;
  Home home;
};
constexpr NamedHome kHomes[] = {
    {"rows", Home::idle},
    {"launch", Home::launch},
    {"vectors", Home::vectors},
    {"faults", Home::faults},
    {"slot_rules", Home::slot_rules},
    {"slot_states", Home::slot_states},
    {"visit_counts", Home::visit_counts},
    {"last_codes", Home::last_codes},
    {"seen_codes", Home::seen_codes},
    {"context_rows", Home::context_rows},
    {"sampled", Home::sampled},
    {"likeliest", Home::likeliest},
    {"alignment", Home::alignment},
    {"results", Home::results},
    {"memory", Home::memory},
    {"head_scores", Home::head_scores},
    {"heads_done", Home::heads_done},
    {"schedule", Home::schedule},
};

}  // namespace

ProgramWriter::ProgramWriter(const ProgramNetworks& networks, NetworkWriter& writer)
    : networks_(networks), writer_(writer) {}

std::vector<Binding> ProgramWriter::run() {
  const ops::Program& program = networks_.program();
  for (op_ = 0; op_ < program.ops.size(); ++op_) {
    writer_.begin_op(message(program.name, " ", op_, " ", ops::name_of(program.ops[op_])));
    std::visit([this](const auto& op) { write(op); }, program.ops[op_]);
  }
  add_outputs();
  return std::move(bindings_);
}

// What a trace keeps and what comes back leaves the network, and so does the token.
void ProgramWriter::add_outputs() {
  writer_.begin_op("outputs");
  std::map<TensorId, bool> has_name;
  for (const auto& [buffer, tensor] : tensors_) {
    if (!networks_.is_left(buffer)) continue;
    const bool is_taken = !has_name.emplace(tensor, true).second;
    Binding binding;
    binding.name = message("out.", buffer, ".", activation(buffer).name);
    binding.home = Home::activation;
    binding.index = buffer;
    binding.is_output = true;
    binding.dims = {kRowsExtent, activation(buffer).width};
    writer_.output(binding.name, is_taken ? writer_.copy(tensor) : tensor);
    bindings_.push_back(std::move(binding));
  }
  if (token_ < 0) return;
  Binding token;
  token.name = "token_out";
  token.is_output = true;
  token.type = Type::int32;
  token.dims = {1};
  writer_.output(token.name, token_);
  bindings_.push_back(std::move(token));
}

TensorId ProgramWriter::bind(Binding binding, Type type, Dims dims) {
  const auto known = bound_.find(binding.name);
  if (known != bound_.end()) return known->second;
  const TensorId id = writer_.input(binding.name, type, dims);
  bound_.emplace(binding.name, id);
  binding.type = type;
  binding.dims = std::move(dims);
  bindings_.push_back(std::move(binding));
  return id;
}

TensorId ProgramWriter::bind_port(const plugins::Port& port) {
  if (port.name == "token") {
    if (token_ < 0) token_ = bind({.name = "token_in"}, port.type, {1});
    return token_;
  }
  const auto* found = std::find_if(std::begin(kHomes), std::end(kHomes),
                                   [&](const NamedHome& of) { return port.name == of.name; });
  TTSRT_CHECK(InternalError, found != std::end(kHomes), "tensorrt: nothing to bind to ", port.name);
  Dims dims;
  for (const plugins::Extent& extent : port.shape) {
    std::int64_t value = extent.number;
    if (extent.letter == 'R') value = kRowsExtent;
    if (extent.letter == 'S') value = networks_.state().slots;
    if (extent.letter == 'V') value = networks_.limits().max_rows;
    dims.push_back(value);
  }
  return bind({.name = port.name, .home = found->home}, port.type, std::move(dims));
}

// Weights are shared by their address; names that the file doesn't say are made.
TensorId ProgramWriter::bind_table(const ops::Weight& weight, Type type, Dims dims) {
  const auto [at, is_new] = tables_.emplace(weight.data, "");
  if (is_new) at->second = message("table.", tables_.size() - 1, ".", weight.name);
  return bind({.name = at->second, .home = Home::table, .weight = weight}, type, std::move(dims));
}

TensorId ProgramWriter::bind_product(const ops::Weight& weight, Type type, Dims dims) {
  const auto [at, is_new] = tables_.emplace(weight.data, "");
  if (is_new) at->second = message("product.", tables_.size() - 1, ".", weight.name);
  return bind({.name = at->second, .home = Home::product, .weight = weight}, type, std::move(dims));
}

TensorId ProgramWriter::bind_draws(ops::BufferId buffer, std::int64_t width) {
  Binding binding;
  binding.name = message("draws.", buffer, ".", activation(buffer).name);
  binding.home = Home::activation;
  binding.index = buffer;
  TTSRT_CHECK(InternalError, activation(buffer).space == ops::RowSpace::draws, binding.name,
              ": expected an activation of draws");
  return bind(std::move(binding), Type::float32,
              {launch().draws(), std::max<std::int64_t>(width, 1)});
}

std::vector<TensorId> ProgramWriter::add_plugin(const char* kind, const Fields& fields,
                                                const Given& given) {
  const auto op = plugins::kind_of(kind).make(fields);
  std::vector<TensorId> inputs;
  std::size_t used = 0;
  for (const plugins::Port& port : op->signature().inputs()) {
    const auto found = std::find_if(given.begin(), given.end(),
                                    [&](const auto& entry) { return entry.first == port.name; });
    used += found == given.end() ? 0 : 1;
    inputs.push_back(found == given.end() ? bind_port(port) : found->second);
  }
  TTSRT_CHECK(InternalError, used == given.size(), "tensorrt: ", kind, ": ", given.size() - used,
              " tensors without a port");
  const auto count = static_cast<std::int32_t>(op->signature().outputs().size());
  std::vector<TensorId> outputs = writer_.plugin(kind, fields, inputs, count);
  token_ = outputs.back();
  outputs.pop_back();
  return outputs;
}

TensorId ProgramWriter::read(ops::BufferId buffer) const {
  const auto known = tensors_.find(buffer);
  TTSRT_CHECK(InternalError, known != tensors_.end(), "tensorrt: ", networks_.program().name, ": ",
              activation(buffer).name, ": nothing has written it");
  return known->second;
}

void ProgramWriter::set(ops::BufferId buffer, TensorId tensor) { tensors_[buffer] = tensor; }

plugins::LaunchAttributes ProgramWriter::launch() const {
  const cuda::RowLimits& rows = networks_.rows();
  plugins::LaunchAttributes launch;
  launch.max_rows = rows.max_rows;
  launch.max_draws = rows.max_draws;
  launch.max_blocks = rows.max_blocks;
  launch.codebooks = rows.codebooks;
  launch.code_width = rows.code_width;
  launch.max_segments = rows.has_items ? rows.tiles.max_segments : 0;
  return launch;
}

plugins::SlotAttributes ProgramWriter::slots() const {
  const ops::StateSpec& state = networks_.state();
  plugins::SlotAttributes slots;
  slots.slots = state.slots;
  slots.max_text_len = state.max_text_len;
  slots.seen_vocab = state.seen_vocab;
  slots.max_context_rows = state.max_context_rows;
  slots.dim = state.dim;
  return slots;
}

plugins::FaultAttributes ProgramWriter::faults() const {
  plugins::FaultAttributes faults;
  faults.not_finite = static_cast<std::int32_t>(ops::fault_word(op_, ops::FaultKind::not_finite));
  faults.no_choice = static_cast<std::int32_t>(ops::fault_word(op_, ops::FaultKind::no_choice));
  return faults;
}

// The pool may have more blocks than one sequence needs: how many is the executor's affair, and
// no plan depends on it.
plugins::CacheAttributes ProgramWriter::cache() const {
  plugins::CacheAttributes cache;
  cache.cache_type = element_of(networks_.state().cache_dtype);
  cache.cache_blocks = std::max(ops::most_blocks(networks_.state()), 1);
  return cache;
}

plugins::MemoryAttributes ProgramWriter::memory(ops::Memory which, std::int32_t layer) const {
  const ops::StateSpec& state = networks_.state();
  const auto text = static_cast<std::int32_t>(ops::blocks_for(state.max_text_len));
  const auto context = static_cast<std::int32_t>(ops::blocks_for(state.max_context_memory));
  plugins::MemoryAttributes memory;
  memory.blocks.cache_type = cache().cache_type;
  memory.blocks.cache_blocks = text + context;
  memory.layers = state.memory_layers;
  memory.layer = layer;
  memory.is_context = which == ops::Memory::context ? 1 : 0;
  memory.first_block = memory.is_context != 0 ? text : 0;
  memory.heads = state.memory_heads;
  memory.head_dim = state.memory_head_dim;
  return memory;
}

}  // namespace ttsrt::tensorrt
