// Mutants of checkpoints: what `build` accepts, an executor opens and runs.
#include "model/checkpoint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "support/causal_models.h"
#include "support/errors.h"
#include "support/json_edits.h"
#include "support/tiny_executor.h"

namespace ttsrt {
namespace {

namespace fs = std::filesystem;
using test::TinyTensor;

constexpr std::int64_t kMaxElements = 1 << 20;  // of a mutant: larger ones are left out

std::vector<Json> whole_configs() {
  return {test::tiny_config(), test::multi_encoder_config(), test::llm_config(),
          test::llm_config(test::parallel_stack_json()), test::t3_config()};
}

class Mutants {
 public:
  explicit Mutants(std::uint64_t seed) : random_(seed) {}

  // Writes a mutant; false if it would be large.
  bool write(const std::string& folder) {
    const std::vector<Json> configs = whole_configs();
    const Json whole = configs[below(configs.size())];
    Json config = whole;
    for (std::size_t edits = below(3); edits > 0; --edits)
      test::edit_json(config, next(), next(), next());
    std::vector<TinyTensor> tensors;
    try {
      if (is_large(config)) return false;
      tensors = test::tiny_tensors(config);
    } catch (const Error&) {  // a configuration that can't be read: tensors of the whole one
      tensors = test::tiny_tensors(whole);
    }
    for (TinyTensor& tensor : tensors) {
      if (tensor.entry.dtype == DType::int32)
        tensor.counts.resize(static_cast<std::size_t>(test::count_of(tensor.entry.shape)), 1);
    }
    if (below(3) == 0) edit_tensors(tensors);
    fs::remove_all(folder);
    test::write_checkpoint(folder, config, tensors);
    what = config.dump();
    return true;
  }

  std::string what;

 private:
  std::uint32_t next() { return static_cast<std::uint32_t>(random_()); }
  std::size_t below(std::size_t count) { return next() % count; }

  static bool is_large(const Json& config) {
    std::int64_t elements = 0;
    const model::Manifest manifest = model::read_family(JsonReader(config, "x"))->manifest();
    for (const model::TensorSpec& spec : manifest.tensors()) elements += test::count_of(spec.shape);
    return elements > kMaxElements;
  }

  void edit_tensors(std::vector<TinyTensor>& tensors) {
    if (tensors.empty()) return;
    const std::size_t at = below(tensors.size());
    TinyTensor& tensor = tensors[at];
    switch (below(5)) {
      case 0:
        tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      case 1: {  // one more, that no model has
        TinyTensor extra = {{"extra", DType::float32, {3}}, {1.0F, 2.0F, 3.0F}, {}};
        tensors.push_back(extra);
        break;
      }
      case 2:
        std::reverse(tensor.entry.shape.begin(), tensor.entry.shape.end());
        break;
      case 3:
        if (!tensor.counts.empty()) tensor.counts[0] = static_cast<std::int32_t>(below(5)) - 1;
        break;
      default:
        if (tensor.values.empty()) break;
        tensor.values[below(tensor.values.size())] =
            std::vector<float>{std::numeric_limits<float>::quiet_NaN(),
                               std::numeric_limits<float>::infinity(), 3e38F, 1e-45F}[below(4)];
    }
  }

  std::mt19937_64 random_;
};

// TTSRT_MUTANTS asks for more of them.
std::uint64_t num_mutants() {
  const char* asked = std::getenv("TTSRT_MUTANTS");
  return asked != nullptr ? std::strtoull(asked, nullptr, 10) : 300;
}

// Opens what was built and runs a request, which may be refused or fail, but alone.
void serve(const std::string& engine) {
  ExecutorOptions options;
  options.device = "reference";
  options.max_batch_size = 1;
  Executor executor(Engine::open(engine), options);
  Request request;
  request.text_ids = {1, 2};
  request.max_frames = 2;
  request.seed = 1;
  try {
    executor.submit(request).result(60.0);
  } catch (const ConfigError&) {
  } catch (const CapacityError&) {
  }
}

TEST(CheckpointMutants, WhatBuildAcceptsAnExecutorServes) {
  const test::TempDir folder;
  std::uint64_t built = 0;
  std::uint64_t refused = 0;
  for (std::uint64_t seed = 0; seed < num_mutants(); ++seed) {
    Mutants mutants(seed);
    if (!mutants.write(folder.file("checkpoint"))) continue;
    BuildOptions options;
    options.overwrite = true;
    options.max_batch_size = 1;
    try {
      build(folder.file("checkpoint"), folder.file("engine"), options);
      ++built;
    } catch (const FormatError&) {
      ++refused;
      continue;
    } catch (const ConfigError&) {  // limits that this model can't have
      ++refused;
      continue;
    }
    try {
      serve(folder.file("engine"));
    } catch (const std::exception& problem) {
      ADD_FAILURE() << "mutant " << seed << ": " << problem.what() << "\n" << mutants.what;
    }
  }
  EXPECT_GT(built, num_mutants() / 10);
  EXPECT_GT(refused, num_mutants() / 10);
}

TEST(Checkpoint, OfAnotherFormatVersion) {
  const test::TempDir folder;
  Json config = test::tiny_config();
  config["format_version"] = 2;
  test::write_checkpoint(folder.path(), config, test::tiny_tensors(test::tiny_config()));
  EXPECT_TRUE(test::throws_naming<FormatError>(
      "format_version: expected 1, got 2; convert the original model again: ttsrt convert MODEL " +
          folder.path(),
      [&] { model::Checkpoint checkpoint(folder.path()); }));
}

}  // namespace
}  // namespace ttsrt
