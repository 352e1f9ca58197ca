// Executors on tiny engines, for every device and number of threads that tests use.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <ostream>
#include <string>
#include <vector>

#include "support/tiny_engine.h"
#include "ttsrt/executor.h"

namespace ttsrt::test {

struct Place {
  std::string device;
  std::int32_t num_threads = 0;

  ExecutorOptions options() const {
    ExecutorOptions options;
    options.device = device;
    options.num_threads = num_threads;
    return options;
  }
  std::string name() const {
    const std::string depth = device == "reference:2" ? "2" : "";
    const std::string kind = depth.empty() ? device : "pipelined_reference";
    return kind + (num_threads > 0 ? std::to_string(num_threads) : std::string());
  }
};

inline void PrintTo(const Place& place, std::ostream* stream) { *stream << place.name(); }

inline std::vector<Place> all_places() {
  return {{"cpu", 1}, {"cpu", 2}, {"cpu", 3}, {"reference", 0}, {"reference:2", 0}};
}

inline std::string place_name(const testing::TestParamInfo<Place>& info) {
  return info.param.name();
}

// Small limits, so that texts and contexts reach them and prefill runs in pieces.
inline BuildOptions crowd_limits() {
  BuildOptions options;
  options.max_batch_size = 5;
  options.max_seq_len = 40;
  options.max_input_len = 8;
  options.max_encoder_input_len = 12;
  return options;
}

// A model whose requests run as long as a test needs: many positions, no end of speech.
inline Json long_config() {
  Json config = tiny_config();
  config["model"]["decoder"]["max_positions"] = 20100;
  config["defaults"]["max_frames"] = 20000;
  config["defaults"]["min_frames"] = 20000;
  return config;
}

inline BuildOptions long_limits() {
  BuildOptions options;
  options.max_batch_size = 1;
  options.max_input_len = 8;
  return options;
}

inline Request spoken(std::vector<std::int32_t> ids, std::uint64_t seed) {
  Request request;
  request.text_ids = std::move(ids);
  request.voice = 0;
  request.seed = seed;
  return request;
}

inline Matrix<float> random_rows(std::int64_t rows, std::int64_t cols, std::uint64_t seed) {
  return {rows, cols, random_vector(static_cast<std::size_t>(rows * cols), seed)};
}

inline bool same_bits(const Matrix<float>& a, const Matrix<float>& b) {
  return a.rows == b.rows && a.cols == b.cols && a.values.size() == b.values.size() &&
         (a.values.empty() ||
          std::memcmp(a.values.data(), b.values.data(), a.values.size() * sizeof(float)) == 0);
}

inline void expect_same(const Result& got, const Result& expected, const std::string& what) {
  EXPECT_EQ(got.finish_reason, expected.finish_reason) << what << ": " << got.error;
  EXPECT_EQ(got.codes.rows, expected.codes.rows) << what;
  EXPECT_EQ(got.codes.cols, expected.codes.cols) << what;
  EXPECT_EQ(got.codes.values, expected.codes.values) << what;
  EXPECT_EQ(got.focus, expected.focus) << what;
  EXPECT_TRUE(same_bits(got.alignment, expected.alignment)) << what;
  ASSERT_EQ(got.trace.size(), expected.trace.size()) << what;
  for (std::size_t i = 0; i < got.trace.size(); ++i) {
    EXPECT_EQ(got.trace[i].name, expected.trace[i].name) << what;
    EXPECT_EQ(got.trace[i].step, expected.trace[i].step) << what;
    EXPECT_TRUE(same_bits(got.trace[i].values, expected.trace[i].values))
        << what << ": " << got.trace[i].name << " of step " << got.trace[i].step;
  }
}

// Checks that no request runs or waits, that every request has ended, and that only idle prefixes
// hold blocks, at most `max_used`.
inline void expect_idle(const Executor& executor, std::int32_t max_used) {
  const ExecutorStats stats = executor.stats();
  EXPECT_EQ(stats.num_submitted, stats.num_completed + stats.num_failed + stats.num_cancelled);
  EXPECT_EQ(stats.num_active_requests, 0);
  EXPECT_EQ(stats.num_queued_requests, 0);
  EXPECT_EQ(stats.kv_cache_stats.used_num_blocks + stats.kv_cache_stats.free_num_blocks,
            stats.kv_cache_stats.max_num_blocks);
  EXPECT_LE(stats.kv_cache_stats.used_num_blocks, max_used);
}

class ExecutorAt : public testing::TestWithParam<Place> {
 protected:
  static ExecutorOptions options() { return GetParam().options(); }
};

}  // namespace ttsrt::test
