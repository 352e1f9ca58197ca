// The tiny model on the plain backend, launch by launch.
#include "model/native_network.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <limits>

#include "cpu/cpu_backend.h"
#include "ops/reference/reference_backend.h"
#include "support/device_backend.h"
#include "support/errors.h"
#include "support/tiny_engine.h"

namespace ttsrt::model {
namespace {

// Of the tiny model, which has no context encoder.
constexpr std::size_t kEncodeText = 0;
constexpr std::size_t kDecode = 3;

class NativeNetworkTest : public ::testing::Test {
 protected:
  std::unique_ptr<Network> open(bool trace = false) {
    NetworkOptions options;
    options.limits = data_.limits;
    options.trace = trace;
    return std::make_unique<NativeNetwork>(data_, ops::make_reference_backend(), options);
  }

  // One request without context: text in, one stack out.
  static void fill(step::StepBatch& batch) {
    static const std::int32_t kText[] = {1, 2, 3};
    static const std::int32_t kBos[] = {16, 16};
    static const std::int32_t kBlocks[] = {0};
    batch.clear(4);
    step::SlotReset reset;
    reset.rules.text_len = 3;
    reset.rules.codebooks = 2;
    reset.rules.eos_id = 17;
    batch.resets.push_back(reset);
    step::Segment text;
    text.rows = 3;
    text.input = step::Input::ids;
    text.position_table = 0;
    text.ids = kText;
    batch.programs[kEncodeText].segments = {text};
    batch.programs[kEncodeText].rows = 3;
    step::Segment decode;
    decode.rows = 1;
    decode.input = step::Input::codes;
    decode.position_table = 0;
    decode.ids = kBos;
    decode.blocks = kBlocks;
    decode.num_blocks = 1;
    step::RowBatch& rows = batch.programs[kDecode];
    rows.segments = {decode};
    rows.rows = 1;
    rows.draws = {{0, 0, -1}};
  }

  test::TinyEngine engine_;
  const EngineData data_{engine_.path()};
};

TEST_F(NativeNetworkTest, TellsItsFacts) {
  const NetworkInfo info = open()->info();
  EXPECT_EQ(info.slots, 8);
  EXPECT_EQ(info.block_size, 16);
  EXPECT_EQ(info.num_blocks, 8 * (2 * 3 + 3));  // 40 positions twice, 39 context rows once
  EXPECT_GT(info.state_bytes, 0U);
  EXPECT_GT(info.activation_bytes, 0U);
  EXPECT_EQ(info.facts.codebooks, 2);
  EXPECT_EQ(info.facts.codebook_vocab, 20);
  std::vector<std::string> names;
  for (const step::ProgramInfo& program : info.programs) names.push_back(program.name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"encode_text", "project_memory", "prefill", "decode"}));
  EXPECT_EQ(info.programs[kEncodeText].pace, step::Pace::whole);
  EXPECT_FALSE(info.programs[kEncodeText].uses_cache);
  EXPECT_EQ(info.programs[2].pace, step::Pace::chunked);
  EXPECT_TRUE(info.programs[2].uses_cache);
  EXPECT_EQ(info.programs[kDecode].pace, step::Pace::stepwise);
  EXPECT_TRUE(info.programs[kDecode].uses_cache);
}

TEST_F(NativeNetworkTest, GivesAStackOfCodes) {
  const auto network = open();
  step::StepBatch batch;
  fill(batch);
  const step::StepOutput& output = network->collect(network->launch(batch));
  ASSERT_EQ(output.draws.size(), 1U);
  ASSERT_EQ(output.codes.size(), 2U);
  for (const std::int32_t code : output.codes) EXPECT_TRUE(code >= 0 && code < 20);
  EXPECT_TRUE(output.taps.empty());
  const std::vector<std::int32_t> first = output.codes;
  EXPECT_EQ(network->collect(network->launch(batch)).codes,
            first);  // an reset starts the slot anew
}

TEST_F(NativeNetworkTest, TracesItsStages) {
  const auto network = open(true);
  step::StepBatch batch;
  fill(batch);
  const step::StepOutput& output = network->collect(network->launch(batch));
  bool has_logits = false;
  for (const step::TapOutput& tap : output.taps) {
    EXPECT_EQ(tap.values.size(), static_cast<std::size_t>(tap.rows * tap.width)) << tap.name;
    has_logits = has_logits || (tap.name == "logits" && tap.width == 40);
  }
  EXPECT_TRUE(has_logits);
}

TEST_F(NativeNetworkTest, TicketsAreCollectedOnceAndInOrder) {
  const auto network = open();
  step::StepBatch batch;
  fill(batch);
  const Ticket ticket = network->launch(batch);
  EXPECT_THROW(network->launch(batch), InternalError);
  EXPECT_THROW(network->collect(ticket + 1), InternalError);
  network->collect(ticket);
  EXPECT_THROW(network->collect(ticket), InternalError);
}

TEST_F(NativeNetworkTest, RefusesRowsOfProgramsItLacks) {
  const auto network = open();
  step::StepBatch batch;
  batch.clear(5);
  EXPECT_TRUE(test::throws_naming<InternalError>("expected rows of 4 Programs",
                                                 [&] { network->launch(batch); }));
}

// A launch that fails half-way leaves nothing queued: what it had pointed to may be gone or
// changed.
TEST_F(NativeNetworkTest, AFailedLaunchLeavesNothingBehind) {
  step::StepBatch good;
  fill(good);
  for (const bool is_cpu : {false, true}) {
    const auto fresh = [&] {
      NetworkOptions options;
      options.limits = data_.limits;
      return std::make_unique<NativeNetwork>(
          data_, is_cpu ? make_cpu_backend({2, "generic"}) : ops::make_reference_backend(),
          options);
    };
    const auto untouched = fresh();
    const std::vector<std::int32_t> expected = untouched->collect(untouched->launch(good)).codes;
    const auto network = fresh();
    step::StepBatch bad;
    fill(bad);
    static const std::int32_t kNowhere[] = {1 << 20};
    bad.programs[kDecode].segments[0].blocks = kNowhere;
    // The reference looks up blocks only as it runs.
    EXPECT_THROW(network->collect(network->launch(bad)), InternalError) << is_cpu;
    bad.programs[kEncodeText].segments[0].position = 1 << 20;  // to run it now would throw
    EXPECT_EQ(network->collect(network->launch(good)).codes, expected) << is_cpu;
    EXPECT_EQ(network->collect(network->launch(good)).codes, expected) << is_cpu;
  }
}

// An encoder cut at every layer, beside rows whose request is gone, gives the bits of a whole one.
TEST_F(NativeNetworkTest, AnEncoderMayStopAtEveryLayer) {
  for (const bool is_cpu : {false, true}) {
    NetworkOptions options;
    options.limits = data_.limits;
    const auto backend = [&] {
      return is_cpu ? make_cpu_backend({2, ""}) : ops::make_reference_backend();
    };
    const auto whole = std::make_unique<NativeNetwork>(data_, backend(), options);
    step::StepBatch batch;
    fill(batch);
    const step::StepOutput expected = whole->collect(whole->launch(batch));

    const auto cut = std::make_unique<NativeNetwork>(data_, backend(), options);
    constexpr std::size_t text = kEncodeText;
    const std::int32_t parts = cut->info().programs[text].num_parts;
    ASSERT_GT(parts, 1);
    step::StepBatch piece;
    fill(piece);
    step::RowBatch& rows = piece.programs[text];
    step::Segment other = rows.segments[0];
    other.slot = 1;
    other.first_row = 3;
    rows.segments.push_back(other);
    rows.rows = 6;
    piece.resets.push_back({1, piece.resets[0].rules});
    const step::RowBatch decode = std::exchange(piece.programs[kDecode], {});
    for (std::int32_t part = 0; part < parts; ++part) {
      rows.first_part = part;
      rows.last_part = part + 1;
      if (part > 0) {
        piece.resets.clear();
        rows.segments[1].slot = step::kNoSlot;
      }
      if (part == parts - 1) piece.programs[kDecode] = decode;
      const step::StepOutput& output = cut->collect(cut->launch(piece));
      EXPECT_GT(output.seconds[text], 0.0);
      if (part == parts - 1) {
        EXPECT_EQ(output.codes, expected.codes);
      }
    }
  }
}

TEST_F(NativeNetworkTest, RowsOfACacheHaveSomebody) {
  const auto network = open();
  step::StepBatch batch;
  fill(batch);
  batch.programs[kDecode].segments[0].slot = step::kNoSlot;
  EXPECT_THROW(network->launch(batch), InternalError);
}

// A page that isn't there can't be written to a pipe. Reading it would end the process.
bool is_readable(const std::byte* data) {
  int ends[2] = {};
  EXPECT_EQ(::pipe(ends), 0);
  const bool is_written = ::write(ends[1], data, 1) == 1;
  ::close(ends[0]);
  ::close(ends[1]);
  return is_written;
}

TEST_F(NativeNetworkTest, WeightsLeaveTheHostWhereTheDeviceHasItsOwn) {
  NetworkOptions options;
  options.limits = data_.limits;
  const std::byte* weight = data_.weights.at(data_.weights.tensors().front().name).data;
  EXPECT_FALSE(is_readable(weight));
  const std::size_t plenty = std::size_t{1} << 40;
  for (const std::size_t own : {std::size_t{0}, std::size_t{12345}}) {
    const NativeNetwork network(data_, std::make_unique<test::DeviceBackend>(plenty, own), options);
    EXPECT_EQ(is_readable(weight), own == 0);
    EXPECT_EQ(network.info().weight_bytes, own);
  }
  EXPECT_FALSE(is_readable(weight));
}

TEST_F(NativeNetworkTest, NothingIsAllocatedOnADeviceThatIsTooSmall) {
  NetworkOptions options;
  options.limits = data_.limits;
  const auto open_on = [&](std::size_t free) {
    return NativeNetwork(data_, std::make_unique<test::DeviceBackend>(free), options);
  };
  const NetworkInfo info = open_on(std::size_t{1} << 40).info();
  const std::size_t needed = info.state_bytes + info.activation_bytes + info.scratch_bytes;
  EXPECT_EQ(open_on(needed).info().num_blocks, info.num_blocks);
  EXPECT_TRUE(test::throws_naming<CapacityError>("device reference: the executor takes",
                                                 [&] { open_on(needed - 1); }));
  options.cache.fraction = 0.75;
  EXPECT_LT(open_on(needed - 1).info().num_blocks, info.num_blocks);
}

// What launches take besides is taken at the start, and counted apart: nobody can plan it.
TEST_F(NativeNetworkTest, EveryProgramIsPrepared) {
  NetworkOptions options;
  options.limits = data_.limits;
  const auto open_on = [&](std::size_t free) {
    return NativeNetwork(data_, std::make_unique<test::DeviceBackend>(free), options);
  };
  const std::size_t plenty = std::size_t{1} << 40;
  const NetworkInfo info = open_on(plenty).info();
  EXPECT_EQ(info.graph_bytes, info.programs.size() * test::DeviceBackend::kGraphBytes);
  EXPECT_EQ(info.free_bytes, plenty - info.graph_bytes);
}

TEST_F(NativeNetworkTest, WithoutMemoryForGraphsNothingOpens) {
  NetworkOptions options;
  options.limits = data_.limits;
  options.limits.max_batch_size = 1;
  class FullBackend : public test::DeviceBackend {
   public:
    FullBackend() : DeviceBackend(std::nullopt) {}
    std::optional<std::size_t> free_bytes() const override {
      return graph_bytes() > kGraphBytes ? std::size_t{0} : std::size_t{1} << 40;
    }
  };
  EXPECT_TRUE(test::throws_naming<CapacityError>("graphs take 1000 bytes more", [&] {
    const NativeNetwork network(data_, std::make_unique<FullBackend>(), options);
  }));
}

TEST_F(NativeNetworkTest, ThePoolMayBeSmaller) {
  NetworkOptions options;
  options.limits = data_.limits;
  options.state.cache_positions = 33;
  EXPECT_EQ(std::make_unique<NativeNetwork>(data_, ops::make_reference_backend(), options)
                ->info()
                .num_blocks,
            3);
  options.state.cache_positions = std::numeric_limits<std::int32_t>::max();
  EXPECT_EQ(std::make_unique<NativeNetwork>(data_, ops::make_reference_backend(), options)
                ->info()
                .num_blocks,
            open()->info().num_blocks);
}

}  // namespace
}  // namespace ttsrt::model
