// A team that shrinks and grows between the steps of requests changes no bit of them.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include "cpu/cpu_backend.h"
#include "cpu_model.h"

namespace ttsrt {
namespace {

using test::SmallModel;
using test::SmallRequest;
using test::TestBatch;

constexpr std::int32_t kThreads = 4;

std::atomic<std::int32_t> num_running{kThreads};  // threads that have a core

// Threads from `num_running` on never run, by this clock.
std::int64_t told_cpu_time(std::int32_t thread) {
  if (thread >= num_running.load()) return 0;
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

// Lets the team find out how many of its threads run.
void settle(ThreadTeam& team, std::int32_t size) {
  num_running = size;
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (team.num_active() != size && std::chrono::steady_clock::now() < end) {
    team.run(
        [](void*, std::int32_t thread) {
          const bool is_late = thread >= num_running.load();
          std::this_thread::sleep_for(std::chrono::milliseconds(is_late ? 8 : 1));
        },
        nullptr);
  }
  ASSERT_EQ(team.num_active(), size);
}

// The codes and all activations of the steps of two requests, of which step i runs on sizes[i]
// threads.
std::vector<float> run_steps(const std::shared_ptr<ThreadTeam>& team, const SmallModel& model,
                             const std::vector<std::int32_t>& sizes) {
  CpuOptions options;
  options.team = team;
  const auto backend = make_cpu_backend(options);
  backend->create_state(SmallModel::state(DType::bfloat16, 4));
  const auto encoder = backend->compile(model.encoder, test::traced(300));
  const auto prefill = backend->compile(model.prefill, test::traced(300));
  const auto decode = backend->compile(model.decode, test::traced(300));
  std::vector<SmallRequest> requests;
  TestBatch text;
  TestBatch context;
  for (const std::int32_t slot : {0, 3}) {
    SmallRequest& request = requests.emplace_back(SmallRequest::make(slot, 4));
    request.rules.use_local_transformer = true;
    request.rules.sampler.temperature = 0.8F;
    step::SlotReset reset;
    reset.slot = request.slot;
    reset.rules = request.rules;
    backend->reset_slot(reset);
    request.add_text(text);
    request.add_context(context);
  }
  encoder->launch(text.batch);
  prefill->launch(context.batch);
  std::vector<float> seen;
  for (std::size_t step = 0; step < sizes.size(); ++step) {
    if (sizes[step] > 0) settle(*team, sizes[step]);
    TestBatch batch;
    for (const SmallRequest& request : requests)
      request.add_step(batch, static_cast<std::int32_t>(step));
    decode->launch(batch.batch);
    const step::StepOutput output = test::run_queued(*backend);
    EXPECT_EQ(output.num_threads, sizes[step] > 0 ? sizes[step] : team->num_threads());
    seen.insert(seen.end(), output.codes.begin(), output.codes.end());
    for (std::size_t b = 0; b < model.decode.activations.size(); ++b) {
      const ops::Activation& activation = model.decode.activations[b];
      const bool is_of_rows = activation.space == ops::RowSpace::rows;
      const std::size_t rows =
          is_of_rows ? static_cast<std::size_t>(batch.batch.rows) : batch.batch.draws.size();
      const float* values = decode->activation(static_cast<ops::BufferId>(b));
      seen.insert(seen.end(), values,
                  values + rows * static_cast<std::size_t>(activation.values()));
    }
  }
  return seen;
}

TEST(CpuTeamSize, ChangesNoBits) {
  for (const test::WeightKind& kind :
       {test::WeightKind(DType::bfloat16), test::WeightKind(ops::Quantization::w8a8)}) {
    test::ModelShape shape;
    shape.dtype = DType::bfloat16;
    shape.has_local_transformer = true;
    shape.matrices = kind;
    const SmallModel model(shape);
    num_running = kThreads;
    const auto changing = std::make_shared<ThreadTeam>(
        kThreads, TeamOptions{.may_shrink = true, .cpu_time = told_cpu_time});
    const std::vector<float> got = run_steps(changing, model, {4, 3, 1, 1, 4});
    const std::vector<float> expected =
        run_steps(std::make_shared<ThreadTeam>(1), model, {0, 0, 0, 0, 0});
    ASSERT_EQ(got.size(), expected.size());
    EXPECT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0);
  }
}

}  // namespace
}  // namespace ttsrt
