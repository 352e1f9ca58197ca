// Lowering converts the ops of a Program to the stages that the thread team runs.
//
// A norm is fused into the packing of the next Linear if no other op reads its output and the
// launch is not traced; so is AddModulated into the Linear before it. A HalfSnake becomes a part of
// the TimeConv whose outputs it reads. A nested Program
// (ops/nested.h) is lowered like any other, on its own rows; only the place where self-attention
// stores keys and values differs.
#pragma once

#include <vector>

#include "cpu/stages/local_attention.h"
#include "cpu/stages/stage_list.h"
#include "ops/program.h"

namespace ttsrt::cpu {

// The activations of a Program and its number of rows at run time.
struct ProgramRows {
  const std::int32_t* rows = nullptr;
  std::int32_t max_rows = 0;
  std::vector<Rows> activations;
  bool keeps_all = false;  // every activation is read after the Program has run
  // Of a nested Program:
  const char* owner = "";                 // prefix of the labels of its stages
  ops::BufferId output = ops::kNoBuffer;  // read after the Program has run
  const LocalRows* local = nullptr;       // its rows are places of groups
};

// Ops that become one stage: a Linear with the norm of its input before it, and behind it a sum
// that multiplies its outputs.
struct Fusion {
  const ops::Norm* norm = nullptr;
  const ops::ModulatedNorm* modulated = nullptr;  // or this one
  ops::BufferId norm_x = ops::kNoBuffer;          // of either
  ops::BufferId norm_out = ops::kNoBuffer;
  const ops::Linear* linear = nullptr;
  const ops::AddModulated* gate = nullptr;
  std::size_t count = 0;  // ops
};

class Lowering {
 public:
  // All arguments must outlive the lowering; the plan and the Program must also outlive the stages.
  Lowering(StageList& list, const ops::Program& program, const ProgramRows& rows, Stages& stages);

  // Adds the Program's stages.
  void run();

  // After run(): the rows that leave the Program, or none.
  ops::BufferId emitted() const { return emitted_; }
  // After run(): the first stage of each part of the Program.
  const std::vector<std::int64_t>& part_stages() const { return part_stages_; }

 private:
  void lower(const ops::EmbedRows& op);
  void lower(const ops::Norm& op);
  void lower(const ops::Linear& op);
  void lower(const ops::Gate& op);
  void lower(const ops::Unfold& op);
  void lower(const ops::SelfAttention& op);
  void lower(const ops::StoreMemory& op);
  void lower(const ops::CrossAttention& op);
  void lower(const ops::StoreContext& op);
  void lower(const ops::ClearScores& op);
  void lower(const ops::UpdatePrior& op);
  void lower(const ops::SampleCodes& op);
  void lower(const ops::PickCodes& op);
  void lower(const ops::FinishStep& op);
  void lower(const ops::ShiftBlock& op);
  void lower(const ops::GuessBlock& op);
  void lower(const ops::FinishBlock& op);
  void lower(const ops::LoadRows& op);
  void lower(const ops::SaveRows& op);
  void lower(const ops::StoreSchedule& op);
  void lower(const ops::ModulatedNorm& op);
  void lower(const ops::AddModulated& op);
  void lower(const ops::ClearFiller& op);
  void lower(const ops::StretchText& op);
  void lower(const ops::DepthwiseConv& op);
  void lower(const ops::GroupedConv& op);
  void lower(const ops::ResponseNorm& op);
  void lower(const ops::FlowStep& op);
  void lower(const ops::PolarSpectrum& op);
  void lower(const ops::OverlapAdd& op);
  void lower(const ops::EmitRows& op);
  void lower(const ops::DequantizeCodes& op);
  void lower(const ops::HalfSnake& op);
  void lower(const ops::TimeConv& op);
  void lower(const ops::Upsample& op);
  void lower(const ops::Clamp& op);
  void lower(const ops::SplitRows& op);
  void lower(const ops::QuantizeRows& op);
  void lower(const ops::ShiftRows& op);
  void lower(const ops::HarmonicSource& op);
  void lower(const ops::FadeIn& op);
  void lower(const ops::JoinColumns& op);
  void lower(const ops::ActivateRows& op);
  void lower(const ops::DistanceRows& op);
  void lower(const ops::RelativeAttention& op);
  void add_fused(const Fusion& fusion);
  // A TimeConv, and the HalfSnake of its outputs, if any, which may be all that reads them.
  void add_conv(const ops::TimeConv& op, const ops::HalfSnake* snake, bool is_for_snake);
  const ops::HalfSnake* snake_behind(std::size_t index) const;
  bool begins_part(std::size_t index) const;
  Fusion fusion_at(std::size_t index) const;
  bool is_for_next(std::size_t index, ops::BufferId buffer) const;

  Rows rows_of(ops::BufferId buffer, ops::RowSpace space = ops::RowSpace::rows) const;
  Rows scores_of(ops::BufferId buffer) const;
  std::int64_t rate_of(ops::BufferId buffer) const;
  std::int64_t beyond_of(ops::BufferId buffer) const;
  Rows optional(ops::BufferId buffer, ops::RowSpace space) const;

  StageList& list_;
  const ops::Program& program_;
  const ProgramRows& rows_;
  Stages& stages_;
  std::size_t num_local_ = 0;  // SelfAttention ops of a nested Program so far
  std::vector<std::int64_t> part_stages_;
  ops::BufferId emitted_ = ops::kNoBuffer;
};

}  // namespace ttsrt::cpu
