// Contexts and texts of finite numbers that are too large: their requests end by name, on every
// device, in every cache type and for every kind of model; their company and whoever comes after
// them keep every bit.
#include <gtest/gtest.h>

#include "support/crowd.h"

namespace ttsrt {
namespace {

using test::CrowdModel;
using test::expect_same;

constexpr float kHuge = 3e38F;

class ExecutorFaults : public test::ExecutorAt {};

Matrix<float> huge_rows(std::int64_t rows, float value) {
  return {rows, 8, std::vector<float>(static_cast<std::size_t>(rows * 8), value)};
}

// Requests whose rows are not finite somewhere, for a model whose context is rows.
std::vector<Request> faulty_requests() {
  std::vector<Request> all;
  for (const float value : {kHuge, -kHuge, 1e25F}) {
    Request request = test::spoken({1, 2, 3, 4}, 50);
    request.voice.reset();
    request.context_embeddings = huge_rows(3, value);
    all.push_back(request);
  }
  all.back().context_embeddings.values[5] = 0.0F;  // not all alike
  all.push_back(all.front());
  all.back().use_local_transformer = true;
  all.back().return_alignment = true;
  all.push_back(test::with_prior(all.front(), test::prior_of("nemo")));
  all.push_back(test::with_prior(all.front(), test::prior_of("window", true)));
  Request text = test::spoken({}, 51);
  text.text_features = huge_rows(5, kHuge);
  all.push_back(text);
  text = test::spoken({}, 52);
  text.encoder_output = huge_rows(5, kHuge);
  text.return_alignment = true;
  all.push_back(text);
  return all;
}

void expect_named(const Result& result, const std::string& what) {
  EXPECT_EQ(result.finish_reason, FinishReason::error) << what;
  EXPECT_NE(result.error.find("step 0"), std::string::npos) << what << ": " << result.error;
  EXPECT_NE(result.error.find("keys and values of layer 0: expected finite numbers"),
            std::string::npos)
      << what << ": " << result.error;
  EXPECT_EQ(result.codes.rows, 0) << what;
  EXPECT_EQ(result.alignment.rows, 0) << what;
}

// Sound requests, alone and then between faulty ones, twice.
void expect_company(const CrowdModel& model, const ExecutorOptions& options,
                    const std::vector<Request>& faulty) {
  const test::TinyEngine folder(model.config, model.build);
  const Engine engine = Engine::open(folder.path());
  std::vector<Result> expected;
  {
    Executor alone(engine, options);
    for (const Request& request : model.requests) expected.push_back(alone.generate(request));
  }
  Executor executor(engine, options);
  for (std::int32_t round = 0; round < 2; ++round) {
    std::vector<Handle> handles;
    std::vector<Handle> failing;
    for (std::size_t i = 0; i < std::max(model.requests.size(), faulty.size()); ++i) {
      if (i < faulty.size()) failing.push_back(executor.submit(faulty[i]));
      if (i < model.requests.size()) handles.push_back(executor.submit(model.requests[i]));
    }
    for (std::size_t i = 0; i < failing.size(); ++i)
      expect_named(*failing[i].result(), model.name + ", faulty " + std::to_string(i));
    for (std::size_t i = 0; i < handles.size(); ++i)
      expect_same(*handles[i].result(), expected[i], model.name + ", " + std::to_string(i));
  }
  test::expect_idle(executor, test::kCrowdPrefixes);
}

TEST_P(ExecutorFaults, CompanyAndSuccessorsKeepTheirBits) {
  for (const CrowdModel& model : test::crowd_models()) {
    if (model.name == "memory") continue;  // its context is codes
    expect_company(model, options(), faulty_requests());
  }
}

TEST_P(ExecutorFaults, InEveryCacheType) {
  const CrowdModel model = test::crowd_models().front();
  for (const char* dtype : {"bfloat16", "float16", "int8"}) {
    ExecutorOptions chosen = options();
    chosen.kv_cache_dtype = dtype;
    expect_company(model, chosen, faulty_requests());
  }
}

// The text of a model whose context is encoded may be huge as well.
TEST_P(ExecutorFaults, TextsOfModelsWithAMemory) {
  CrowdModel model = test::crowd_models()[2];
  ASSERT_EQ(model.name, "memory");
  Request request = model.requests.front();
  request.text_ids.clear();
  request.encoder_output = huge_rows(4, kHuge);
  expect_company(model, options(), {request});
}

// Finite keys that only float16 can't hold: the same request passes in a wider cache.
TEST_P(ExecutorFaults, ACacheThatIsTooNarrow) {
  std::vector<test::TinyTensor> tensors = test::tiny_tensors(test::tiny_config());
  for (test::TinyTensor& tensor : tensors) {
    if (tensor.entry.name != "decoder.layers.1.self_qkv") continue;
    for (float& value : tensor.values) value *= 3e7F;
  }
  test::TempDir folder;
  test::write_checkpoint(folder.file("checkpoint"), test::tiny_config(), tensors);
  build(folder.file("checkpoint"), folder.file("engine"), test::crowd_limits());
  const Engine engine = Engine::open(folder.file("engine"));
  for (const char* dtype : {"float32", "bfloat16", "int8", "float16"}) {
    ExecutorOptions chosen = options();
    chosen.kv_cache_dtype = dtype;
    Executor executor(engine, chosen);
    Request request = test::spoken({1, 2, 3}, 5);
    for (const float cfg_scale : {1.0F, 2.0F, 1.0F}) {
      request.cfg_scale = cfg_scale;
      const Result result = *executor.submit(request).result();
      if (std::string(dtype) != "float16") {
        EXPECT_NE(result.finish_reason, FinishReason::error) << dtype << ": " << result.error;
        continue;
      }
      EXPECT_EQ(result.error,
                "prefill, step 0, row 0: self-attention keys and values of layer 1: expected "
                "finite numbers, got infinity or NaN");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Places, ExecutorFaults, testing::ValuesIn(test::all_places()),
                         test::place_name);

}  // namespace
}  // namespace ttsrt
