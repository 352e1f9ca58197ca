// A small evaluation of a flow: every op of whole items that is a plugin.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/cpu_support.h"
#include "ops/backend.h"
#include "ops/program.h"

namespace ttsrt::plugins::test {

// Arrays of the slots: where a step began, what stays, which rows stay, and the network's input.
class ItemModel {
 public:
  static constexpr std::int32_t kBins = 12;
  static constexpr std::int32_t kWidth = 64;
  static constexpr std::int32_t kFrames = 160;
  static constexpr std::int32_t kSchedule = 3 * kWidth;

  explicit ItemModel(DType dtype = DType::float32, bool has_head_norms = true)
      : conv(ttsrt::test::make_panel(kWidth, 9 * kWidth / 2, dtype, 1, 0.05F)),
        conv_bias(ttsrt::test::make_vector(kWidth, 2)),
        qkv(ttsrt::test::make_panel(3 * kWidth, kWidth, dtype, 3, 0.1F)),
        qkv_bias(ttsrt::test::make_vector(3 * kWidth, 4)),
        q_norm(ttsrt::test::make_norm(kWidth, 5)),
        k_norm(ttsrt::test::make_norm(kWidth, 6)),
        out(ttsrt::test::make_panel(kBins, kWidth, dtype, 7, 0.1F)),
        out_bias(ttsrt::test::make_vector(kBins, 8)) {
    evaluation.name = "evaluation";
    evaluation.has_many_rows = true;
    const ops::BufferId x = ttsrt::test::add_input(evaluation, kBins);
    const ops::BufferId kept = evaluation.add("kept", kWidth);
    const ops::BufferId convolved = evaluation.add("convolved", kWidth);
    const ops::BufferId normed = evaluation.add("normed", kWidth);
    const ops::BufferId heads = evaluation.add("qkv", 3 * kWidth);
    const ops::BufferId attended = evaluation.add("attended", kWidth);
    const ops::BufferId velocity = evaluation.add("velocity", kBins);
    evaluation.ops.emplace_back(ops::LoadRows{kept, 3});
    evaluation.ops.emplace_back(
        ops::GroupedConv{kept, convolved, conv, conv_bias, 2, 9, ops::Activate::mish, false});
    evaluation.ops.emplace_back(ops::ModulatedNorm{convolved, normed, kWidth, 0, 1e-6F});
    evaluation.ops.emplace_back(ops::Linear{normed, heads, qkv, qkv_bias});
    ops::SelfAttention attention{heads, attended, 4, kWidth / 4, -1, false};
    if (has_head_norms) {
      attention.q_norm = q_norm;
      attention.k_norm = k_norm;
    }
    evaluation.ops.emplace_back(attention);
    evaluation.ops.emplace_back(ops::AddModulated{attended, convolved, 2 * kWidth});
    evaluation.ops.emplace_back(ops::Linear{convolved, velocity, out, out_bias});
    evaluation.ops.emplace_back(ops::FlowStep{velocity, 0, 1, 2});
    static_cast<void>(x);
  }

  static ops::StateSpec state() {
    ops::StateSpec spec;
    spec.slots = 3;
    spec.num_blocks = 4;
    spec.dim = kBins;
    spec.max_context_rows = kFrames;
    spec.max_text_len = 8;
    spec.schedule_width = kSchedule;
    spec.rows = {{kFrames, kBins, false},
                 {kFrames, kBins, false},
                 {kFrames, 1, false},
                 {kFrames, kWidth, true}};
    return spec;
  }

  // Rows of three items of several lengths, which are cut from random numbers; the first and the
  // third have two branches.
  static ttsrt::test::TestBatch items(std::int64_t width, std::uint64_t seed,
                                      std::int32_t branches = 2) {
    ttsrt::test::TestBatch batch;
    const std::int32_t lengths[] = {33, 1, 150};
    for (std::int32_t slot = 0; slot < 3; ++slot) {
      for (std::int32_t branch = 0; branch < (slot == 1 ? 1 : branches); ++branch) {
        const auto count = static_cast<std::size_t>(lengths[slot] * width);
        const auto own = seed + static_cast<std::uint64_t>(2 * slot + branch);
        step::Segment& segment =
            batch.add_vectors(slot, lengths[slot], ttsrt::test::random_vector(count, own));
        segment.branch = branch == 0 ? step::Branch::conditional : step::Branch::unconditional;
        segment.schedule_row = 3 + 17 * slot;
        segment.step_size = 0.1F * static_cast<float>(slot + 1);
        segment.ends_step = slot != 2;
        segment.is_last = slot == 0;
      }
    }
    return batch;
  }

  ttsrt::test::TestWeight conv, conv_bias, qkv, qkv_bias, q_norm, k_norm, out, out_bias;
  ops::Program evaluation;
};

}  // namespace ttsrt::plugins::test
