// Ops of whole items, those of a flow's evaluation (ops/whole_ops.h): rows that the slots keep,
// what a row of a schedule does to the rows of a segment, grouped convolutions, and the step of the
// integration. LaunchAttributes::max_segments is above 0 for all of them.
#pragma once

#include "common/bound.h"

namespace ttsrt::plugins {

// Rows of schedules: [schedule_rows, schedule_width].
struct ScheduleAttributes {
  std::int32_t rows = 1;
  std::int32_t width = 1;

  template <class Self, class Visit>
  static void each(Self& self, const Visit& visit) {
    visit("schedule_rows", self.rows);
    visit("schedule_width", self.width);
  }
  void check(const char* plugin) const;
  void add_to(Signature& signature) const;  // schedule: float32 [rows, width]
  // Throws ConfigError unless the schedule has columns [first, first + count).
  void check_columns(const char* plugin, const char* field, std::int32_t first,
                     std::int32_t count) const;
};

// ops::LoadRows of an array [slots, branches, array_rows, width].
struct LoadRowsAttributes {
  LaunchAttributes launch;
  std::int32_t array_rows = 1;
  std::int32_t width = 1;
  std::int32_t has_branches = 0;  // 1: rows of each branch, 0: zeros for the second one

  template <class Self, class Visit>
  static void each(Self& self, const Visit& visit) {
    LaunchAttributes::each(self.launch, visit);
    visit("array_rows", self.array_rows);
    visit("width", self.width);
    visit("has_branches", self.has_branches);
  }
};

class LoadRows final : public OpOf<LoadRows, LoadRowsAttributes> {
 public:
  static constexpr const char* kName = "LoadRows";

  explicit LoadRows(LoadRowsAttributes attributes);
  void enqueue(const Call& call) const override;
};

struct ModulatedNormAttributes {
  LaunchAttributes launch;
  ScheduleAttributes schedule;
  std::int32_t width = 1;
  std::int32_t scale = 0;  // first columns of the schedule
  std::int32_t shift = 0;
  float epsilon = 1e-6F;

  template <class Self, class Visit>
  static void each(Self& self, const Visit& visit) {
    LaunchAttributes::each(self.launch, visit);
    ScheduleAttributes::each(self.schedule, visit);
    visit("width", self.width);
    visit("scale", self.scale);
    visit("shift", self.shift);
    visit("epsilon", self.epsilon);
  }
};

class ModulatedNorm final : public OpOf<ModulatedNorm, ModulatedNormAttributes> {
 public:
  static constexpr const char* kName = "ModulatedNorm";

  explicit ModulatedNorm(ModulatedNormAttributes attributes);
  void enqueue(const Call& call) const override;
};

struct AddModulatedAttributes {
  LaunchAttributes launch;
  ScheduleAttributes schedule;
  std::int32_t width = 1;
  std::int32_t gate = 0;  // first column of the schedule

  template <class Self, class Visit>
  static void each(Self& self, const Visit& visit) {
    LaunchAttributes::each(self.launch, visit);
    ScheduleAttributes::each(self.schedule, visit);
    visit("width", self.width);
    visit("gate", self.gate);
  }
};

// Copies the addend first: an output of TensorRT is never an input.
class AddModulated final : public OpOf<AddModulated, AddModulatedAttributes> {
 public:
  static constexpr const char* kName = "AddModulated";

  explicit AddModulated(AddModulatedAttributes attributes);
  void enqueue(const Call& call) const override;
};

// ops::GroupedConv without its sum, which a native layer adds.
struct GroupedConvAttributes {
  LaunchAttributes launch;
  std::int32_t width = 1;
  std::int32_t outputs = 16;
  std::int32_t groups = 1;
  std::int32_t kernel = 1;
  std::int32_t activate = 0;     // a cuda::Activation
  std::int32_t weight_type = 0;  // a cuda::Element

  template <class Self, class Visit>
  static void each(Self& self, const Visit& visit) {
    LaunchAttributes::each(self.launch, visit);
    visit("width", self.width);
    visit("outputs", self.outputs);
    visit("groups", self.groups);
    visit("kernel", self.kernel);
    visit("activate", self.activate);
    visit("weight_type", self.weight_type);
  }
};

class GroupedConv final : public OpOf<GroupedConv, GroupedConvAttributes> {
 public:
  static constexpr const char* kName = "GroupedConv";

  explicit GroupedConv(GroupedConvAttributes attributes);
  void enqueue(const Call& call) const override;

 private:
  std::int64_t inputs() const { return std::int64_t{at_.kernel} * at_.width / at_.groups; }
};

// ops::FlowStep with arrays of one branch: base and fixed [slots, 1, array_rows, dim], mask
// [slots, 1, array_rows, 1].
struct FlowStepAttributes {
  LaunchAttributes launch;
  SlotAttributes slots;
  FaultAttributes faults;
  std::int32_t array_rows = 1;

  template <class Self, class Visit>
  static void each(Self& self, const Visit& visit) {
    LaunchAttributes::each(self.launch, visit);
    SlotAttributes::each(self.slots, visit);
    FaultAttributes::each(self.faults, visit);
    visit("array_rows", self.array_rows);
  }
};

class FlowStep final : public OpOf<FlowStep, FlowStepAttributes> {
 public:
  static constexpr const char* kName = "FlowStep";

  explicit FlowStep(FlowStepAttributes attributes);
  void enqueue(const Call& call) const override;

 private:
  cuda::RowArrayView array(const Call& call, const char* name, std::int32_t width) const;
};

}  // namespace ttsrt::plugins
