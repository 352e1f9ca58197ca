#include "ops/faults.h"

#include <variant>

#include "core/check.h"

namespace ttsrt::ops {
namespace {

// What an op checks, and the layer that it belongs to.
struct StageOf {
  bool has_choice = true;

  step::Fault operator()(const EmbedRows&) const {
    return {0, 0, step::FaultStage::given_rows, -1};
  }
  step::Fault operator()(const SelfAttention& op) const {
    return {0, 0, step::FaultStage::self_attention, op.cache_layer};
  }
  step::Fault operator()(const StoreMemory& op) const {
    return {0, 0, step::FaultStage::cross_attention, op.layer};
  }
  step::Fault operator()(const StoreContext&) const {
    return {0, 0, step::FaultStage::kept_rows, -1};
  }
  step::Fault operator()(const FlowStep&) const { return {0, 0, step::FaultStage::item_rows, -1}; }
  step::Fault operator()(const StoreSchedule&) const {
    return {0, 0, step::FaultStage::schedule, -1};
  }
  step::Fault operator()(const SaveRows&) const { return {0, 0, step::FaultStage::item_rows, -1}; }
  step::Fault operator()(const HarmonicSource&) const {
    return {0, 0, step::FaultStage::item_rows, -1};
  }
  step::Fault operator()(const UpdatePrior&) const { return {0, 0, step::FaultStage::scores, -1}; }
  step::Fault operator()(const SampleCodes&) const { return drawn(step::FaultStage::logits); }
  step::Fault operator()(const ShiftBlock&) const {
    return {0, 0, step::FaultStage::kept_rows, -1};
  }
  step::Fault operator()(const GuessBlock&) const { return drawn(step::FaultStage::logits); }
  step::Fault operator()(const PickCodes&) const { return drawn(step::FaultStage::local_logits); }
  template <typename Other>
  step::Fault operator()(const Other&) const {
    throw InternalError("faults: the op checks nothing");
  }

 private:
  step::Fault drawn(step::FaultStage logits) const {
    return {0, 0, has_choice ? logits : step::FaultStage::choice, -1};
  }
};

}  // namespace

step::Fault fault_of(const Program& program, std::uint32_t word) {
  const std::size_t op = word / 2U - 1U;
  TTSRT_CHECK(InternalError, word >= 2U && op < program.ops.size(), program.name, ": fault word ",
              word, " of ", program.ops.size(), " ops");
  const bool has_choice = word % 2U != static_cast<std::uint32_t>(FaultKind::no_choice);
  return std::visit(StageOf{has_choice}, program.ops[op]);
}

void RowFaults::append(const Program& program, std::int32_t index, std::int32_t rows,
                       std::vector<step::Fault>& faults) const {
  if (!has_any_.load(std::memory_order_relaxed)) return;
  for (std::int32_t row = 0; row < rows; ++row) {
    const std::uint32_t word =
        words_[static_cast<std::size_t>(row)].load(std::memory_order_relaxed);
    if (word == 0) continue;
    step::Fault fault = fault_of(program, word);
    fault.program = index;
    fault.row = row;
    faults.push_back(fault);
  }
}

}  // namespace ttsrt::ops
