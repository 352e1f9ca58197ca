// Texts whose chunks have voices of their own, on real networks: each stretch of one voice is what
// a request of its own would be, alone and in a crowd.
#include <gtest/gtest.h>

#include <numeric>

#include "support/crowd.h"
#include "support/errors.h"

namespace ttsrt {
namespace {

using test::expect_same;
using test::throws_naming;

using Voices = std::vector<std::optional<VoiceRef>>;

// Kinds of contexts: rows in front of the audio, through the context encoder, in a memory.
Json speaker_config(const std::string& context) {
  Json config = context == "memory" ? test::multi_encoder_config() : test::tiny_config();
  config["model"]["text_encoder"]["max_positions"] = 48;
  config["defaults"]["max_frames"] = 9;
  if (context == "encoder") {
    config["model"]["context"] = "encoder";
    config["model"]["context_encoder"] = test::multi_encoder_config()["model"]["context_encoder"];
    config["model"]["num_voices"] = 0;
    config["model"]["speakers"] = Json::object();
  }
  return config;
}

constexpr const char* kContexts[] = {"codes", "encoder", "memory"};

BuildOptions limits() {
  BuildOptions options = test::crowd_limits();
  options.max_encoder_input_len = 48;
  return options;
}

// "one", "two" and "three" have contexts of different lengths.
void add_voices(Executor& executor, const std::string& context) {
  std::int64_t rows = 2;
  for (const char* name : {"one", "two", "three"}) {
    if (context == "codes") {
      executor.add_voice(name, test::random_rows(rows, 8, static_cast<std::uint64_t>(rows)));
    } else {
      executor.add_voice_codes(name, test::context_of(rows, 2));
    }
    rows += 3;
  }
}

Request spoken_by(const Voices& voices, std::vector<std::int32_t> chunks, std::uint64_t seed) {
  Request request = test::spoken({}, seed);
  request.voice = VoiceRef("one");
  request.text_voices = voices;
  for (const std::int32_t count : chunks) {
    for (std::int32_t i = 0; i + 1 < count; ++i)
      request.text_ids.push_back(static_cast<std::int32_t>((seed + request.text_ids.size()) % 7));
    request.text_ids.push_back(8);
  }
  request.text_chunks = std::move(chunks);
  return request;
}

// Guided and unguided, with each prior that chunks may have, greedy and sampled; voices that
// alternate, that stay, and the request's own.
std::vector<Request> wishes_of_speakers() {
  std::vector<Request> all;
  all.push_back(spoken_by({"one", "two", "two", "three"}, {22, 25, 24, 9}, 1));
  all.back() = test::with_prior(all.back(), test::prior_of("nemo"));
  all.back().return_alignment = true;
  all.push_back(spoken_by({"three", std::nullopt, std::nullopt, "three"}, {4, 3, 5, 1}, 2));
  all.back() = test::with_prior(all.back(), test::prior_of("nemo", true));
  all.back().return_positions = true;
  all.push_back(spoken_by({"two", "one", "three"}, {8, 3, 5}, 3));
  all.back() = test::with_prior(all.back(), std::nullopt);
  all.back().cfg_scale = 1.0F;
  all.back().return_positions = true;
  all.push_back(spoken_by({"one", "one"}, {12, 21}, 4));
  all.back().temperature = 0.0F;
  return all;
}

class ExecutorSpeakers : public test::ExecutorAt {};

TEST_P(ExecutorSpeakers, AreTheSameInACrowd) {
  for (const std::string context : kContexts) {
    const test::TinyEngine folder(speaker_config(context), limits());
    const Engine engine = Engine::open(folder.path());
    std::vector<Result> expected;
    for (const Request& request : wishes_of_speakers()) {
      Executor executor(engine, options());
      add_voices(executor, context);
      expected.push_back(executor.generate(request));
      ASSERT_NE(expected.back().finish_reason, FinishReason::error) << expected.back().error;
      EXPECT_EQ(expected.back().chunk_steps.size(), request.text_chunks.size());
    }
    for (const std::int32_t max_batch_size : {0, 1, 2}) {
      ExecutorOptions chosen = options();
      chosen.max_batch_size = max_batch_size;
      chosen.prefill_slice_seconds = max_batch_size == 2 ? 1e-9 : 0.0;
      Executor executor(engine, chosen);
      add_voices(executor, context);
      std::vector<Handle> handles;
      for (const Request& request : wishes_of_speakers()) {
        handles.push_back(executor.submit(request));
        Request other = test::spoken({1, 2, 3}, 50);
        other.voice = VoiceRef("two");
        handles.push_back(executor.submit(other));
      }
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const Result got = *handles[2 * i].result();
        const std::string what = context + " " + std::to_string(i);
        expect_same(got, expected[i], what);
        EXPECT_EQ(got.text_positions, expected[i].text_positions) << what;
        EXPECT_EQ(got.chunk_frames, expected[i].chunk_frames) << what;
      }
    }
  }
}

// Nothing is carried over to another voice but the number of steps, which greedy draws don't see.
TEST_P(ExecutorSpeakers, EachSpeaksAsIfAlone) {
  for (const std::string context : kContexts) {
    const test::TinyEngine folder(speaker_config(context), limits());
    Executor executor(Engine::open(folder.path()), options());
    add_voices(executor, context);
    for (const bool has_prior : {false, true}) {
      Request all = spoken_by({"one", "two", "two", std::nullopt}, {6, 20, 7, 5}, 5);
      all = test::with_prior(all, has_prior ? std::optional(test::prior_of("nemo")) : std::nullopt);
      all.temperature = 0.0F;
      const Result whole = executor.generate(all);
      ASSERT_EQ(whole.chunk_frames.size(), 4U);
      EXPECT_EQ(whole.chunk_offsets, (std::vector<std::int32_t>{0, 6, 19, 33}));
      struct Stretch {
        std::string voice;
        std::size_t first, count;
      };
      std::vector<std::int32_t> codes;
      std::vector<std::int32_t> focus;
      std::int32_t begin = 0;
      for (const Stretch& of : {Stretch{"one", 0, 1}, {"two", 1, 2}, {"one", 3, 1}}) {
        Request alone = all;
        alone.voice = VoiceRef(of.voice);
        alone.text_voices.clear();
        const auto chunk = all.text_chunks.begin() + static_cast<std::ptrdiff_t>(of.first);
        alone.text_chunks.assign(chunk, chunk + static_cast<std::ptrdiff_t>(of.count));
        const std::int32_t ids =
            std::accumulate(alone.text_chunks.begin(), alone.text_chunks.end(), 0);
        alone.text_ids.assign(all.text_ids.begin() + begin, all.text_ids.begin() + begin + ids);
        const Result part = executor.generate(alone);
        codes.insert(codes.end(), part.codes.values.begin(), part.codes.values.end());
        for (const std::int32_t at : part.focus) focus.push_back(begin + at);
        begin += ids;
      }
      EXPECT_EQ(whole.codes.values, codes) << context;
      EXPECT_EQ(whole.focus, focus) << context;
    }
  }
}

// A name and an index of one voice, and the request's own voice, are no change.
TEST_P(ExecutorSpeakers, TheSameVoiceGoesOn) {
  const test::TinyEngine folder(speaker_config("codes"), limits());
  Executor executor(Engine::open(folder.path()), options());
  Request plain = spoken_by({}, {6, 9, 4}, 6);
  plain.voice = VoiceRef(1);
  Request named = plain;
  named.text_voices = {VoiceRef("bob"), VoiceRef(1), std::nullopt};
  expect_same(executor.generate(named), executor.generate(plain), "one voice");
  named.voice.reset();  // every chunk has one
  named.text_voices.back() = VoiceRef("bob");
  expect_same(executor.generate(named), executor.generate(plain), "no context");
  Request one = test::spoken({1, 2, 3, 8}, 6);
  one.voice = VoiceRef(1);
  const Result expected = executor.generate(one);
  one.voice = VoiceRef(0);
  one.text_voices = {VoiceRef("bob")};
  expect_same(executor.generate(one), expected, "a text without chunks");
}

// The longest context decides how many blocks a request may come to hold.
TEST_P(ExecutorSpeakers, FitTheirBlocks) {
  const test::TinyEngine folder(speaker_config("codes"), limits());
  ExecutorOptions small = options();
  small.max_tokens_in_paged_kv_cache = 64;
  Executor executor(Engine::open(folder.path()), small);
  add_voices(executor, "codes");
  Request many = spoken_by({}, std::vector<std::int32_t>(40, 5), 7);
  for (std::size_t i = 0; i < 40; ++i)
    many.text_voices.emplace_back(VoiceRef(std::string(i % 3 == 0 ? "three" : "one")));
  const Result result = executor.generate(many);
  EXPECT_EQ(result.chunk_steps.size(), 40U);
  test::expect_idle(executor, 0);
}

TEST_P(ExecutorSpeakers, AreRefusedByName) {
  const test::TinyEngine folder(speaker_config("codes"), limits());
  Executor executor(Engine::open(folder.path()), options());
  add_voices(executor, "codes");
  const auto refuses = [&executor](const char* what, const Request& request) {
    return throws_naming<ConfigError>(what, [&] { executor.submit(request); });
  };
  EXPECT_TRUE(refuses("text_voices: expected 2 voices", spoken_by({"one"}, {3, 4}, 1)));
  EXPECT_TRUE(refuses("nobody", spoken_by({"one", "nobody"}, {3, 4}, 1)));
  Request request = spoken_by({"one", std::nullopt}, {3, 4}, 1);
  request.voice.reset();
  EXPECT_TRUE(refuses("context: expected exactly one of", request));
  request = spoken_by({"one", "two"}, {3, 4}, 1);
  request.text_silences = {0, 1, 2};
  EXPECT_TRUE(refuses("text_silences: expected none, as this request makes no sound", request));
  request = spoken_by({"one", "two", "two"}, {3, 4, 5}, 1);
  request = test::with_prior(request, test::prior_of("window"));
  EXPECT_TRUE(refuses("prior: expected mode \"nemo\"", request));
  request = spoken_by({"one", "two"}, {3, 4}, 1);  // each stretch is one chunk
  EXPECT_NO_THROW(executor.generate(test::with_prior(request, test::prior_of("window"))));
}

INSTANTIATE_TEST_SUITE_P(Places, ExecutorSpeakers, testing::ValuesIn(test::all_places()),
                         test::place_name);

}  // namespace
}  // namespace ttsrt
