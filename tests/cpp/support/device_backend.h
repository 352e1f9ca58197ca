// The reference backend on a device with memory and weights of its own, for tests of what a GPU
// does at start.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/check.h"
#include "ops/backend.h"
#include "ops/reference/reference_backend.h"

namespace ttsrt::test {

class DeviceBackend : public ops::Backend {
 public:
  static constexpr std::size_t kGraphBytes = 1000;

  // A device with `free` bytes (absent: it is the host), which keeps weights of so many bytes. Of
  // these, each compiled Program takes kGraphBytes as it is prepared.
  explicit DeviceBackend(std::optional<std::size_t> free, std::size_t weight_bytes = 0)
      : free_(free), weight_bytes_(weight_bytes) {}

  const ops::BackendInfo& info() const override { return plain_->info(); }
  void create_state(const ops::StateSpec& spec) override { plain_->create_state(spec); }
  std::size_t state_bytes() const override { return plain_->state_bytes(); }
  ops::MemoryUse memory_use(const ops::StateSpec& spec,
                            const std::vector<ops::SizedProgram>& programs) const override {
    ops::MemoryUse use = plain_->memory_use(spec, programs);
    use.weights = weight_bytes_;
    return use;
  }
  std::unique_ptr<ops::Executable> compile(const ops::Program& program,
                                           const ops::ProgramLimits& limits) override {
    return std::make_unique<Prepared>(plain_->compile(program, limits), *this);
  }
  std::size_t graph_bytes() const override { return graph_bytes_; }
  std::size_t weight_bytes() const override { return weight_bytes_; }
  std::optional<std::size_t> free_bytes() const override {
    if (!free_.has_value()) return free_;
    return *free_ - graph_bytes_;
  }
  std::size_t scratch_bytes() const override { return plain_->scratch_bytes(); }
  void reset_slot(const step::SlotReset& reset) override { plain_->reset_slot(reset); }
  void copy_blocks(const std::vector<step::BlockCopy>& copies) override {
    plain_->copy_blocks(copies);
  }
  void discard() override { plain_->discard(); }
  ops::Ticket submit() override { return plain_->submit(); }
  void collect(ops::Ticket ticket, step::StepOutput& output) override {
    plain_->collect(ticket, output);
  }

 private:
  class Prepared : public ops::Executable {
   public:
    Prepared(std::unique_ptr<ops::Executable> plain, DeviceBackend& backend)
        : plain_(std::move(plain)), backend_(backend) {}

    void prepare() override {
      TTSRT_CHECK(CapacityError, backend_.free_bytes().value_or(kGraphBytes) >= kGraphBytes,
                  "graphs take ", kGraphBytes, " bytes more");
      backend_.graph_bytes_ += kGraphBytes;
    }
    void launch(const step::RowBatch& rows) override { plain_->launch(rows); }
    const float* activation(ops::BufferId buffer) const override {
      return plain_->activation(buffer);
    }
    std::size_t activation_bytes() const override { return plain_->activation_bytes(); }
    std::vector<StageTimes> stage_times() const override { return plain_->stage_times(); }

   private:
    const std::unique_ptr<ops::Executable> plain_;
    DeviceBackend& backend_;
  };

  const std::unique_ptr<ops::Backend> plain_ = ops::make_reference_backend();
  const std::optional<std::size_t> free_;
  const std::size_t weight_bytes_;
  std::size_t graph_bytes_ = 0;
};

}  // namespace ttsrt::test
