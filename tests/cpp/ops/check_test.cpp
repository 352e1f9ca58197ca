#include "ops/check.h"

#include <gtest/gtest.h>

#include "support/backend.h"
#include "support/errors.h"

namespace ttsrt::ops {
namespace {

// An admission that fits the small state, with one thing changed, is refused by the name of it.
template <typename Change>
void expect_refused(const char* name, const Change& change) {
  StateSpec spec = test::small_state();
  spec.seen_vocab = 10;
  step::Admission admission;
  admission.slot = 2;
  check_admission(admission, spec);
  change(admission, spec);
  EXPECT_TRUE(test::throws_naming<InternalError>(name, [&] { check_admission(admission, spec); }));
}

TEST(Check, AdmissionsThatDoNotFitAreRefused) {
  using step::Admission;
  expect_refused("slot 3 of 3", [](Admission& at, StateSpec&) { at.slot = 3; });
  expect_refused("slot -1", [](Admission& at, StateSpec&) { at.slot = -1; });
  expect_refused("text_len", [](Admission& at, StateSpec&) { at.rules.text_len = 25; });
  expect_refused("context_len", [](Admission& at, StateSpec&) { at.rules.context_len = 21; });
  expect_refused("num_forbidden", [](Admission& at, StateSpec&) { at.rules.num_forbidden = 17; });
  expect_refused("num_stop_ids", [](Admission& at, StateSpec&) { at.rules.num_stop_ids = 9; });
  expect_refused("maskgit.steps", [](Admission& at, StateSpec&) { at.rules.maskgit.steps = 0; });
}

TEST(Check, PenaltiesNeedRoomAndKnownIds) {
  using step::Admission;
  expect_refused("above 0",
                 [](Admission& at, StateSpec&) { at.rules.sampler.repetition_penalty = 0.0F; });
  expect_refused("keeps no ids", [](Admission& at, StateSpec& spec) {
    at.rules.sampler.repetition_penalty = 1.1F;
    spec.seen_vocab = 0;
  });
  expect_refused("num_seen_first", [](Admission& at, StateSpec&) {
    at.rules.sampler.repetition_penalty = 1.1F;
    at.rules.sampler.num_seen_first = rules::kMaxSeenFirst + 1;
  });
  expect_refused("ids below 10, got 10", [](Admission& at, StateSpec&) {
    at.rules.sampler.repetition_penalty = 1.1F;
    at.rules.sampler.num_seen_first = 1;
    at.rules.sampler.seen_first[0] = 10;
  });
}

TEST(Check, CopiesNameBlocksThatExist) {
  const StateSpec spec = test::small_state();
  EXPECT_NO_THROW(check_copy({0, 11}, spec));
  for (const step::BlockCopy& copy :
       {step::BlockCopy{0, 12}, step::BlockCopy{12, 0}, step::BlockCopy{-1, 0}})
    EXPECT_THROW(check_copy(copy, spec), InternalError);
}

}  // namespace
}  // namespace ttsrt::ops
