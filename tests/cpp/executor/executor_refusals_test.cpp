// What an Executor refuses: options it can't keep, requests that aren't what they claim to be. Each
// is a ConfigError that names its cause, and costs nobody else anything.
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <limits>

#include "support/errors.h"
#include "support/tiny_executor.h"

namespace ttsrt {
namespace {

using test::random_rows;
using test::spoken;
using test::throws_naming;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();

class ExecutorOptionsTest : public ::testing::Test {
 protected:
  // Whether the options, changed so, are refused by that name.
  testing::AssertionResult refuses(const std::string& part,
                                   const std::function<void(ExecutorOptions&)>& change) const {
    ExecutorOptions options = test::Place{"cpu", 1}.options();
    change(options);
    return throws_naming<ConfigError>(part, [&] { Executor(engine_, options); });
  }

  const test::TinyEngine folder_{test::tiny_config(), test::crowd_limits()};
  const Engine engine_ = Engine::open(folder_.path());
};

TEST_F(ExecutorOptionsTest, UnknownNames) {
  EXPECT_TRUE(refuses("\"reference\", got \"tpu\"", [](auto& of) { of.device = "tpu"; }));
  EXPECT_TRUE(refuses("device", [](auto& of) { of.device = ""; }));
  EXPECT_TRUE(refuses("device", [](auto& of) { of.device = "cuda:"; }));
  EXPECT_TRUE(refuses("device", [](auto& of) { of.device = "cuda:-1"; }));
  EXPECT_TRUE(refuses("device", [](auto& of) { of.device = "cuda:0x"; }));
  EXPECT_TRUE(refuses("bfloat16", [](auto& of) { of.kv_cache_dtype = "fp8"; }));
  EXPECT_TRUE(refuses("kv_cache_dtype", [](auto& of) { of.kv_cache_dtype = "int32"; }));
}

TEST_F(ExecutorOptionsTest, AnAbsentGpuIsADeviceError) {
  ExecutorOptions options;
  options.device = "cuda:4095";
  EXPECT_TRUE(throws_naming<DeviceError>("cuda", [&] { Executor(engine_, options); }));
}

TEST_F(ExecutorOptionsTest, NumbersOutOfRange) {
  for (const std::int32_t bad : {-1, 1025, std::numeric_limits<std::int32_t>::max()})
    EXPECT_TRUE(refuses("num_threads", [&](auto& of) { of.num_threads = bad; }));
  EXPECT_TRUE(refuses("num_threads", [](auto& of) {
    of.num_threads = 1024;
    of.pin_threads = true;
  }));
  EXPECT_TRUE(refuses("pin_threads", [](auto& of) {
    of.device = "reference";
    of.pin_threads = true;
  }));
  for (const std::int32_t bad : {0, -1, (1 << 20) + 1})
    EXPECT_TRUE(refuses("max_queue_size", [&](auto& of) { of.max_queue_size = bad; }));
  for (const std::int32_t bad : {-1, 6})
    EXPECT_TRUE(refuses("max_batch_size", [&](auto& of) { of.max_batch_size = bad; }));
  for (const std::int32_t bad : {-1, 1, 11, 513})
    EXPECT_TRUE(refuses("max_num_tokens", [&](auto& of) { of.max_num_tokens = bad; }));
  for (const std::int32_t bad : {-1, (1 << 20) + 1}) {
    EXPECT_TRUE(refuses("iter_stats_max_iterations",
                        [&](auto& of) { of.iter_stats_max_iterations = bad; }));
  }
  for (const double bad : {-1e-9, 3601.0, std::numeric_limits<double>::quiet_NaN()})
    EXPECT_TRUE(
        refuses("prefill_slice_seconds", [&](auto& of) { of.prefill_slice_seconds = bad; }));
  EXPECT_TRUE(refuses("max_tokens_in_paged_kv_cache",
                      [](auto& of) { of.max_tokens_in_paged_kv_cache = -1; }));
}

TEST_F(ExecutorOptionsTest, AnUnknownInstructionSet) {
  const char* kept = std::getenv("TTSRT_CPU_ISA");
  const std::string before = kept == nullptr ? "" : kept;
  ::setenv("TTSRT_CPU_ISA", "mmx", 1);
  EXPECT_TRUE(refuses("generic", [](auto&) {}));
  EXPECT_TRUE(refuses("\"mmx\"", [](auto&) {}));
  ::setenv("TTSRT_CPU_ISA", "generic", 1);
  const Executor executor(engine_, test::Place{"cpu", 1}.options());
  EXPECT_EQ(executor.info().description, "cpu: generic, 1 threads");
  if (kept == nullptr) {
    ::unsetenv("TTSRT_CPU_ISA");
  } else {
    ::setenv("TTSRT_CPU_ISA", before.c_str(), 1);
  }
}

class ExecutorRefusals : public test::ExecutorAt {
 protected:
  // After each refusal the executor still gives what it gave before.
  ~ExecutorRefusals() override {
    expect_unmoved();
    EXPECT_EQ(executor_.stats().num_failed, 0U);
    test::expect_idle(executor_, 1);
  }

  void expect_unmoved() {
    test::expect_same(executor_.generate(good()), expected_, "after refusals");
  }

  static Request good() { return spoken({1, 2, 3}, 9); }

  testing::AssertionResult refuses(const std::string& part,
                                   const std::function<void(Request&)>& change) {
    Request request = good();
    change(request);
    const std::uint64_t before = executor_.stats().num_submitted;
    const auto outcome = throws_naming<ConfigError>(part, [&] { executor_.submit(request); });
    if (executor_.stats().num_submitted != before)
      return testing::AssertionFailure() << part << ": counted as submitted";
    return outcome;
  }

  // Rows whose sizes lie, in whatever field they are given.
  void expect_no_lies(const std::string& part,
                      const std::function<void(Request&, Matrix<float>)>& give) {
    const auto refuses_rows = [&](std::int64_t rows, std::int64_t cols, std::size_t count) {
      return refuses(part,
                     [&](Request& request) {
                       give(request, {rows, cols, std::vector<float>(count, 0.5F)});
                     })
             << rows << " x " << cols << " of " << count;
    };
    EXPECT_TRUE(refuses_rows(2, 8, 15));
    EXPECT_TRUE(refuses_rows(2, 8, 17));
    EXPECT_TRUE(refuses_rows(2, 8, 0));
    EXPECT_TRUE(refuses_rows(0, 8, 16));
    EXPECT_TRUE(refuses_rows(0, 0, 16));
    EXPECT_TRUE(refuses_rows(2, 7, 14));
    EXPECT_TRUE(refuses_rows(-2, -8, 16));
    EXPECT_TRUE(refuses_rows(-2, 8, 16));
    EXPECT_TRUE(refuses_rows(2, -8, 16));
    EXPECT_TRUE(refuses_rows(-1, 8, 0));
    EXPECT_TRUE(refuses_rows(kHuge, 8, 16));
    EXPECT_TRUE(refuses_rows(kHuge / 4 + 1, 8, 8));  // times 8 is 8 again in 64 bits
    EXPECT_TRUE(refuses_rows(2, kHuge, 16));
    EXPECT_TRUE(refuses_rows(100, 8, 800));  // beyond the limit
    for (const float bad : {kNan, kInfinity, -kInfinity}) {
      EXPECT_TRUE(refuses(part, [&](Request& request) {
        Matrix<float> rows = random_rows(2, 8, 1);
        rows.values[13] = bad;
        give(request, std::move(rows));
      }));
    }
  }

  const test::TinyEngine folder_{test::tiny_config(), test::crowd_limits()};
  Executor executor_{Engine::open(folder_.path()), options()};
  const Result expected_ = executor_.generate(good());
};

TEST_P(ExecutorRefusals, RowsThatLie) {
  expect_no_lies("text", [](Request& request, Matrix<float> rows) {
    request.text_ids.clear();
    request.text_features = std::move(rows);
  });
  expect_no_lies("encoder_output", [](Request& request, Matrix<float> rows) {
    request.text_ids.clear();
    request.encoder_output = std::move(rows);
  });
  expect_no_lies("context", [](Request& request, Matrix<float> rows) {
    request.voice.reset();
    request.context_embeddings = std::move(rows);
  });
}

// Rows beside another text or context are one too many, lying or not.
TEST_P(ExecutorRefusals, RowsThatLieBesideGoodOnes) {
  expect_no_lies("text", [](Request& request, Matrix<float> rows) {
    request.text_features = std::move(rows);
  });
  expect_no_lies("context", [](Request& request, Matrix<float> rows) {
    request.context_embeddings = std::move(rows);
  });
}

TEST_P(ExecutorRefusals, CodesThatLie) {
  const auto refuses_codes = [&](const char* part, std::int64_t rows, std::int64_t cols,
                                 std::vector<std::int32_t> values) {
    return refuses(part, [&](Request& request) {
      request.voice.reset();
      request.context_codes = {rows, cols, std::move(values)};
    });
  };
  EXPECT_TRUE(refuses_codes("context_codes", 2, 2, {1, 2, 3}));
  EXPECT_TRUE(refuses_codes("context_codes", 2, 2, {1, 2, 3, 4, 5}));
  EXPECT_TRUE(refuses_codes("context_codes", 1, 3, {1, 2, 3}));
  EXPECT_TRUE(refuses_codes("context", -2, -2, {1, 2, 3, 4}));
  EXPECT_TRUE(refuses_codes("context", 0, 2, {1, 2}));
  EXPECT_TRUE(refuses_codes("context_codes", kHuge, 2, {1, 2}));
  EXPECT_TRUE(refuses_codes("context_codes", 9, 2, std::vector<std::int32_t>(18)));
  EXPECT_TRUE(refuses_codes("context_codes[1]", 1, 2, {1, 20}));
  EXPECT_TRUE(refuses_codes("context_codes[0]", 1, 2, {-1, 1}));
  EXPECT_TRUE(
      refuses("context", [](Request& request) { request.context_codes = {-1, 2, {1, 2}}; }));
}

TEST_P(ExecutorRefusals, TextsAndContexts) {
  EXPECT_TRUE(refuses("got 0", [](auto& of) { of.text_ids.clear(); }));
  EXPECT_TRUE(refuses("got 2", [](auto& of) { of.text_features = random_rows(2, 8, 1); }));
  EXPECT_TRUE(refuses("got 2", [](auto& of) { of.encoder_output = random_rows(2, 8, 1); }));
  EXPECT_TRUE(refuses("text_ids[1]", [](auto& of) { of.text_ids = {1, 9}; }));
  EXPECT_TRUE(refuses("text_ids[0]", [](auto& of) { of.text_ids = {-1}; }));
  EXPECT_TRUE(refuses("at most 12", [](auto& of) { of.text_ids.assign(13, 1); }));
  EXPECT_TRUE(refuses("context: expected exactly one", [](auto& of) { of.voice.reset(); }));
  EXPECT_TRUE(refuses("got 2", [](auto& of) { of.context_text_ids = {1}; }));
  EXPECT_TRUE(refuses("[0, 1], got 2", [](auto& of) { of.voice = 2; }));
  EXPECT_TRUE(refuses("got -1", [](auto& of) { of.voice = -1; }));
  EXPECT_TRUE(refuses("ann, bob", [](auto& of) { of.voice = "carl"; }));
  EXPECT_TRUE(refuses("context_text_ids[0]", [](auto& of) {
    of.voice.reset();
    of.context_text_ids = {9};
  }));
}

TEST_P(ExecutorRefusals, Numbers) {
  for (const float bad : {kNan, kInfinity, -1.0F}) {
    EXPECT_TRUE(refuses("temperature", [&](auto& of) { of.temperature = bad; }));
    EXPECT_TRUE(refuses("cfg_scale", [&](auto& of) { of.cfg_scale = bad; }));
    EXPECT_TRUE(refuses("top_p", [&](auto& of) { of.top_p = bad; }));
    EXPECT_TRUE(refuses("deadline", [&](auto& of) { of.deadline = double{bad}; }));
  }
  EXPECT_TRUE(refuses("top_k", [](auto& of) { of.top_k = -1; }));
  EXPECT_TRUE(refuses("max_frames", [](auto& of) { of.max_frames = 0; }));
  EXPECT_TRUE(refuses("max_frames", [](auto& of) { of.max_frames = 39; }));
  EXPECT_TRUE(refuses("chunk_frames", [](auto& of) { of.chunk_frames = 0; }));
  EXPECT_TRUE(refuses("deadline", [](auto& of) { of.deadline = 0.0; }));
  EXPECT_TRUE(refuses("eos_method", [](auto& of) { of.eos_method = "never"; }));
  EXPECT_TRUE(refuses("repetition_penalty", [](auto& of) { of.repetition_penalty = 1.5F; }));
}

TEST_P(ExecutorRefusals, VoicesThatLie) {
  const auto refuses_voice = [&](const std::string& name, Matrix<float> rows) {
    return throws_naming<ConfigError>("add_voice", [&] { executor_.add_voice(name, rows); });
  };
  EXPECT_TRUE(refuses_voice("", random_rows(2, 8, 1)));
  EXPECT_TRUE(refuses_voice("carl", random_rows(2, 7, 1)));
  EXPECT_TRUE(refuses_voice("carl", random_rows(9, 8, 1)));
  EXPECT_TRUE(refuses_voice("carl", Matrix<float>{}));
  EXPECT_TRUE(refuses_voice("carl", {2, 8, std::vector<float>(15)}));
  EXPECT_TRUE(refuses_voice("carl", {-2, -8, std::vector<float>(16)}));
  EXPECT_TRUE(refuses_voice("carl", {kHuge, 8, std::vector<float>(16)}));
  EXPECT_TRUE(refuses_voice("carl", {1, 8, std::vector<float>(8, kNan)}));
  EXPECT_EQ(executor_.voices(), (std::vector<std::string>{"ann", "bob"}));
}

TEST_P(ExecutorRefusals, AnEmptyHandle) {
  Handle handle;
  EXPECT_TRUE(throws_naming<ConfigError>("handle", [&] { handle.next(); }));
  EXPECT_TRUE(throws_naming<ConfigError>("handle", [&] { handle.result(); }));
  EXPECT_TRUE(throws_naming<ConfigError>("handle", [&] { handle.cancel(); }));
  EXPECT_THROW(handle.id(), ConfigError);
  EXPECT_THROW(handle.is_done(), ConfigError);
}

INSTANTIATE_TEST_SUITE_P(Places, ExecutorRefusals, testing::ValuesIn(test::all_places()),
                         test::place_name);

}  // namespace
}  // namespace ttsrt
