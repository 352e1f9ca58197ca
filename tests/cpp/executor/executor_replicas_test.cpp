// An executor on several devices: a request gives the same result whichever replica runs it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <string>
#include <vector>

#include "cuda/cuda_backend.h"
#include "support/crowd.h"
#include "support/errors.h"
#include "ttsrt/device.h"
#include "ttsrt/memory.h"

namespace ttsrt {
namespace {

using test::CrowdModel;
using test::expect_same;
using test::throws_naming;

ExecutorOptions on(const std::string& device) {
  ExecutorOptions options;
  options.device = device;
  options.num_threads = device.find("cpu") == std::string::npos ? 0 : 1;
  return options;
}

// A replica that is busy, or whose thread the system doesn't run, leaves what waits to others. So
// tests that need all of them go on until each has run something.
bool have_all_run(const Executor& executor) {
  const std::vector<ReplicaStats> replicas = executor.stats().replicas;
  return std::all_of(replicas.begin(), replicas.end(),
                     [](const ReplicaStats& of) { return of.num_frames > 0; });
}

constexpr std::size_t kMostRounds = 1000;

struct Devices {
  const char* single;
  const char* several;
};

class ExecutorReplicas : public ::testing::TestWithParam<Devices> {
 protected:
  static ExecutorOptions several() { return on(GetParam().several); }
};

// Twice at least, so that others run them the second time.
TEST_P(ExecutorReplicas, EqualEachAlone) {
  for (const CrowdModel& model : test::crowd_models()) {
    const test::TinyEngine folder(model.config, model.build);
    const Engine engine = Engine::open(folder.path());
    std::vector<Result> expected;
    for (const Request& request : model.requests)
      expected.push_back(Executor(engine, on(GetParam().single)).generate(request));
    ExecutorOptions options = several();
    options.max_batch_size = 2;
    options.max_num_tokens = 12;
    Executor executor(engine, options);
    std::size_t round = 0;
    for (; round < 2 || !have_all_run(executor); ++round) {
      ASSERT_LT(round, kMostRounds);
      std::vector<Handle> handles;
      for (const Request& wish : model.requests) {
        Request request = wish;
        request.priority = round % 2 == 1 ? static_cast<std::int32_t>(handles.size()) : 0;
        handles.push_back(executor.submit(std::move(request)));
      }
      for (std::size_t i = 0; i < handles.size(); ++i)
        expect_same(*handles[i].result(), expected[i], model.name + " " + std::to_string(i));
    }
    const ExecutorStats stats = executor.stats();
    EXPECT_EQ(stats.num_completed, round * expected.size());
    test::expect_idle(executor, 2 * test::kCrowdPrefixes);
  }
}

TEST_P(ExecutorReplicas, VoicesAreOnAll) {
  const test::TinyEngine folder;
  const Engine engine = Engine::open(folder.path());
  const Matrix<float> rows = test::random_rows(4, 8, 7);
  Request request = test::spoken({1, 2, 3}, 4);
  request.voice = "added";
  ExecutorOptions options = several();
  options.max_batch_size = 1;
  Executor single(engine, on(GetParam().single));
  single.add_voice("added", rows);
  const Result expected = single.generate(request);
  Executor executor(engine, options);
  executor.add_voice("added", rows);
  for (std::size_t round = 0; !have_all_run(executor); ++round) {
    ASSERT_LT(round, kMostRounds);
    std::vector<Handle> handles;
    for (int i = 0; i < 6; ++i) handles.push_back(executor.submit(request));
    for (Handle& handle : handles) expect_same(*handle.result(), expected, "an added voice");
  }
  executor.remove_voice("added");
  EXPECT_TRUE(throws_naming<ConfigError>("voice", [&] { executor.submit(request); }));
}

TEST_P(ExecutorReplicas, StreamsEqualTheWhole) {
  const test::TinyEngine folder;
  Executor executor(Engine::open(folder.path()), several());
  std::vector<Handle> handles;
  for (std::uint64_t seed = 0; seed < 4; ++seed)
    handles.push_back(executor.submit(test::spoken({1, 2, 3}, seed)));
  for (Handle& handle : handles) {
    std::vector<std::int32_t> codes;
    while (const std::optional<Event> event = handle.next())
      codes.insert(codes.end(), event->codes.values.begin(), event->codes.values.end());
    EXPECT_EQ(codes, handle.result()->codes.values);
  }
}

TEST_P(ExecutorReplicas, InfoAndPlanAreSums) {
  const test::TinyEngine folder;
  const Engine engine = Engine::open(folder.path());
  ExecutorOptions options = several();
  options.max_batch_size = 3;
  options.preempt = "priority";
  options.max_paused_requests = 1;
  const Executor executor(engine, options);
  const ExecutorInfo& info = executor.info();
  EXPECT_EQ(info.max_batch_size, 6);
  EXPECT_EQ(info.max_paused_requests, 2);
  ASSERT_EQ(info.replicas.size(), 2U);
  EXPECT_EQ(info.device, info.replicas[0].device + "," + info.replicas[1].device);
  EXPECT_EQ(info.description, info.replicas[0].description + "; " + info.replicas[1].description);
  EXPECT_EQ(info.state_bytes, info.replicas[0].state_bytes + info.replicas[1].state_bytes);
  const std::uint64_t own = info.replicas[0].weight_bytes + info.replicas[1].weight_bytes;
  EXPECT_EQ(info.weight_bytes, own > 0 ? own : engine.info().weight_bytes);
  MemoryOptions asked;
  asked.device = options.device;
  asked.num_threads = options.num_threads;
  asked.max_batch_size = 3;
  asked.preempt = "priority";
  asked.max_paused_requests = 1;
  const MemoryPlan plan = plan_memory(engine, asked);
  EXPECT_EQ(plan.max_batch_size, 3);
  EXPECT_EQ(plan.weights, info.weight_bytes);
  EXPECT_EQ(plan.kv_cache + plan.cross_memory + plan.slots, info.state_bytes);
  EXPECT_EQ(plan.activations, info.activation_bytes);
  EXPECT_EQ(plan.scratch, info.scratch_bytes);
  EXPECT_EQ(plan.cache_tokens, info.cache_tokens);
  EXPECT_EQ(info.cache_tokens, info.replicas[0].cache_tokens + info.replicas[1].cache_tokens);
  ASSERT_EQ(plan.replicas.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    const ReplicaMemory& replica = plan.replicas[i];
    EXPECT_EQ(replica.device, info.replicas[i].device);
    EXPECT_EQ(replica.kv_cache + replica.cross_memory + replica.slots,
              info.replicas[i].state_bytes);
    EXPECT_EQ(replica.activations, info.replicas[i].activation_bytes);
    EXPECT_EQ(replica.scratch, info.replicas[i].scratch_bytes);
    EXPECT_EQ(replica.weights, info.replicas[i].weight_bytes);
    EXPECT_GT(replica.cache_tokens, 0U);
    EXPECT_EQ(replica.cache_tokens, info.replicas[i].cache_tokens);
    EXPECT_EQ(replica.free > 0, own > 0);
    EXPECT_EQ(info.replicas[i].free_bytes > 0, own > 0);
  }
}

std::vector<Devices> device_lists() {
  std::vector<Devices> lists = {{"cpu", "cpu,cpu"},
                                {"reference", "reference,reference"},
                                {"reference", "reference,reference:2"}};
  if (num_cuda_devices() > 0) lists.push_back({"cuda:0", "cuda:0,cuda:0"});
  if (num_cuda_devices() > 1) lists.push_back({"cuda:0", "cuda:all"});
  return lists;
}

std::string list_name(const ::testing::TestParamInfo<Devices>& info) {
  std::string name = info.param.several;
  for (char& at : name) at = std::isalnum(static_cast<unsigned char>(at)) != 0 ? at : '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Devices, ExecutorReplicas, ::testing::ValuesIn(device_lists()), list_name);

TEST(ExecutorDevices, StagesTellTheirReplica) {
  const test::TinyEngine folder;
  ExecutorOptions options = on("cpu,cpu");
  options.profile = true;
  Executor executor(Engine::open(folder.path()), options);
  for (std::size_t round = 0; !have_all_run(executor); ++round) {
    ASSERT_LT(round, kMostRounds);
    std::vector<Handle> handles;
    for (std::uint64_t seed = 0; seed < 4; ++seed)
      handles.push_back(executor.submit(test::spoken({1, 2, 3}, seed)));
    for (Handle& handle : handles) handle.result();
  }
  std::set<std::int32_t> replicas;
  for (const StageTimes& times : executor.stats().stages) replicas.insert(times.replica);
  EXPECT_EQ(replicas, (std::set<std::int32_t>{0, 1}));
}

TEST(ExecutorDevices, CoresAreSharedOut) {
  const test::TinyEngine folder;
  const Engine engine = Engine::open(folder.path());
  ExecutorOptions options;
  options.device = "cpu,cpu,reference";
  const Executor executor(engine, options);
  options.device = "cpu";
  options.num_threads = std::max(usable_cores() / 2, 1);
  const Executor half(engine, options);
  EXPECT_EQ(executor.info().replicas.at(0).description, half.info().description);
  EXPECT_EQ(executor.info().replicas.at(1).description, half.info().description);
}

TEST(ExecutorDevices, BadListsAreRefused) {
  const test::TinyEngine folder;
  const Engine engine = Engine::open(folder.path());
  for (const char* device :
       {"cpu,", ",cpu", "cpu,abacus", "cpu, cpu", "cpu;cpu", "reference:all"}) {
    EXPECT_TRUE(throws_naming<ConfigError>("device", [&] { Executor(engine, on(device)); }))
        << device;
  }
  ExecutorOptions options = on("cpu,cpu");
  options.pin_threads = true;
  EXPECT_TRUE(throws_naming<ConfigError>("pin_threads: expected off with several replicas",
                                         [&] { Executor(engine, options); }));
}

}  // namespace
}  // namespace ttsrt
