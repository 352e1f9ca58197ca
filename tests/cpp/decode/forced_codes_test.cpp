#include "decode/forced_codes.h"

#include <gtest/gtest.h>

#include "decode/compile_rules.h"
#include "support/errors.h"

namespace ttsrt::decode {
namespace {

using test::throws_naming;

RuleFacts small_facts() {
  RuleFacts facts;
  facts.codebooks = 2;
  facts.frame_stacking = 2;
  facts.vocab = 10;
  return facts;
}

Request forcing(std::int64_t frames, std::vector<std::int32_t> codes) {
  Request request;
  request.forced_codes = {frames, 2, std::move(codes)};
  return request;
}

TEST(ForcedCodes, AreStacksInOrder) {
  EXPECT_EQ(compile_forced_codes(Request{}, small_facts()), nullptr);
  const Request request = forcing(4, {0, 1, 2, 3, 4, 5, 6, 9});
  EXPECT_EQ(*compile_forced_codes(request, small_facts()), request.forced_codes.values);
  const CompiledRules rules = compile_rules(request, small_facts(), 3, 0);
  EXPECT_EQ(rules.max_steps, 2);
  EXPECT_EQ(*rules.forced_codes, request.forced_codes.values);
}

TEST(ForcedCodes, AreRefusedByName) {
  const auto refuses = [](const char* what, const Request& request) {
    return throws_naming<ConfigError>(what, [&] { compile_forced_codes(request, small_facts()); });
  };
  EXPECT_TRUE(refuses("forced_codes: expected [frames, 2] with a multiple of 2",
                      forcing(3, {0, 0, 0, 0, 0, 0})));
  EXPECT_TRUE(refuses("forced_codes: expected", forcing(2, {0, 0, 0})));
  EXPECT_TRUE(
      refuses("forced_codes[1, 0]: expected an id in [0, 9], got 10", forcing(2, {0, 0, 10, 0})));
  EXPECT_TRUE(refuses("forced_codes[0, 1]", forcing(2, {0, -1, 0, 0})));
  Request request = forcing(2, {0, 0, 0, 0});
  request.max_frames = 2;
  EXPECT_TRUE(refuses("max_frames", request));
}

}  // namespace
}  // namespace ttsrt::decode
