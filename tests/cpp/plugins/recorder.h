// Stands for the launchers of cuda/launch.h: keeps what they are called with, and launches nothing.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cuda/launch.h"
#include "cuda/launch_whole.h"

namespace ttsrt::plugins::test {

struct ClearArgs {
  cuda::RowsView rows;
  float* scores = nullptr;
  std::int32_t max_text_len = 0;
  std::int32_t max_draws = 0;
};
struct KeepLogitsArgs {
  const float* logits = nullptr;
  float* kept = nullptr;
  std::int64_t width = 0;
  std::int32_t max_rows = 0;
  std::int32_t max_pick_rows = 0;
};

using Launch = std::variant<
    cuda::EmbedArgs, cuda::StoreContextArgs, cuda::NormArgs, cuda::GateArgs, cuda::UnfoldArgs,
    cuda::LinearArgs, cuda::SelfAttentionArgs, cuda::LocalAttentionArgs, cuda::StoreMemoryArgs,
    cuda::CrossAttentionArgs, cuda::BeginArgs, cuda::GiveArgs, ClearArgs, cuda::UpdatePriorArgs,
    cuda::SampleArgs, cuda::FinishStepArgs, cuda::PickInputArgs, cuda::AddPositionsArgs,
    cuda::PickDrawArgs, KeepLogitsArgs, cuda::ItemRowsArgs, cuda::ModulatedNormArgs,
    cuda::AddModulatedArgs, cuda::GroupedConvArgs, cuda::FlowStepArgs, cuda::ItemAttentionArgs>;

// A launcher by its name, with its arguments.
struct Recorded {
  std::string name;
  Launch args;
};

class Recorder {
 public:
  static void clear();
  static const std::vector<Recorded>& launches();
  // The next launcher throws DeviceError with this message.
  static void fail_next(std::string message);

  static void add(const char* name, Launch args);

  // The arguments of the only launch, of this kind.
  template <class Args>
  static const Args& only() {
    if (launches().size() != 1) throw std::runtime_error("expected one launch");
    return std::get<Args>(launches().front().args);
  }
};

}  // namespace ttsrt::plugins::test
