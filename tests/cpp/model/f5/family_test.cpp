#include "model/f5/family.h"

#include <gtest/gtest.h>

#include "model/engine_data.h"
#include "model/f5/flow.h"
#include "model/f5/programs.h"
#include "model/f5/schedule.h"
#include "support/errors.h"
#include "support/flow_models.h"
#include "support/tiny_engine.h"

namespace ttsrt::model::f5 {
namespace {

F5Family family_of(const Json& config) {
  return {JsonReader(config.at("model"), "model"), JsonReader(config.at("defaults"), "defaults")};
}

TEST(F5Family, KeepsWhatIsNotOfABlockWide) {
  const Manifest manifest = family_of(test::flow_config()).manifest();
  EXPECT_EQ(manifest.find("decoder.layers.1.self_qkv")->precision, Precision::any);
  EXPECT_EQ(manifest.find("decoder.layers.1.ffn_out")->precision, Precision::any);
  EXPECT_EQ(manifest.find("modulation")->precision, Precision::floats);
  EXPECT_EQ(manifest.find("modulation")->shape, (std::vector<std::int64_t>{14 * 32, 32}));
  EXPECT_EQ(manifest.find("position_conv.1")->precision, Precision::floats);
  EXPECT_EQ(manifest.find("position_conv.1")->shape, (std::vector<std::int64_t>{32, 16, 3}));
  for (const char* name : {"input.noisy", "output", "time.in", "text.layers.0.ffn_in",
                           "vocoder.head", "vocoder.layers.0.ffn_out"})
    EXPECT_EQ(manifest.find(name)->precision, Precision::float32) << name;
  EXPECT_EQ(manifest.find("text_embedding")->shape, (std::vector<std::int64_t>{10, 8}));
  EXPECT_EQ(manifest.find("decoder.layers.0.q_norm"), nullptr);
  Json model = test::flow_json();
  model["qk_norm"] = true;
  model["long_skip"] = true;
  model["vocoder"] = nullptr;
  const Manifest other = family_of(test::flow_config(model)).manifest();
  EXPECT_NE(other.find("decoder.layers.0.q_norm"), nullptr);
  EXPECT_NE(other.find("long_skip.input"), nullptr);
  EXPECT_EQ(other.find("vocoder.head"), nullptr);
}

TEST(F5Family, ALaunchHoldsBothBranchesOfAnUtterance) {
  const F5Family family = family_of(test::flow_config());
  const LimitBounds bounds = family.limit_bounds(family.manifest());
  EXPECT_EQ(bounds.most_positions, 64);
  BuildOptions options;
  const Limits limits = resolve_limits(options, bounds);
  EXPECT_EQ(limits.max_seq_len, 64);
  EXPECT_EQ(limits.max_encoder_input_len, 63);
  EXPECT_EQ(least_tokens(limits, bounds), 128);
  options.max_num_tokens = 127;
  EXPECT_TRUE(
      test::throws_naming<ConfigError>("max_num_tokens", [&] { resolve_limits(options, bounds); }));
}

TEST(F5Family, ProgramsOfABuiltEngine) {
  const test::TinyEngine engine(test::flow_config());
  const EngineData data(engine.path());
  EXPECT_TRUE(data.info.has_vocoder);
  EXPECT_EQ(data.info.mel_bins, 6);
  EXPECT_EQ(data.info.sample_rate, 800);
  EXPECT_DOUBLE_EQ(data.info.frame_rate, 100.0);
  const auto programs = data.family->programs(data.weights, data.limits, false);
  ASSERT_EQ(programs.size(), 7U);
  EXPECT_EQ(programs[kScheduleProgram].pace, step::Pace::chunked);
  EXPECT_EQ(programs[kFlowProgram].pace, step::Pace::whole);
  EXPECT_EQ(programs[kFlowProgram].program.num_parts(), 2 + 2);
  EXPECT_TRUE(programs[kFlowProgram].program.has_many_rows);
  EXPECT_EQ(programs[kFlowProgram].max_segments, 2 * data.limits.max_batch_size);
  EXPECT_EQ(programs[kSpectrogramProgram].emits, step::Emits::spectrogram);
  EXPECT_EQ(programs[kVocoderProgram].emits, step::Emits::samples);
  const ops::StateSpec state = data.family->state(data.limits, {});
  EXPECT_EQ(state.schedule_width, 14 * 32);
  ASSERT_EQ(state.rows.size(), static_cast<std::size_t>(kNumArrays));
  EXPECT_TRUE(state.rows[kInputRows].has_branches);
  EXPECT_EQ(state.max_context_rows, data.limits.max_seq_len);
  EXPECT_EQ(state.num_blocks, ops::blocks_for(kMaxEvaluations));
  EXPECT_EQ(data.family->state(data.limits, {DType::float32, 17}).num_blocks, 2);
  EXPECT_EQ(data.family->state(data.limits, {DType::float32, 1 << 20}).num_blocks,
            ops::blocks_for(kMaxEvaluations) * data.limits.num_slots());
  EXPECT_EQ(data.family->facts(data.limits).sample_rate, 800);
}

}  // namespace
}  // namespace ttsrt::model::f5
