// How far those are ahead of their listeners who get codes and make the sound themselves.
#include <gtest/gtest.h>

#include <chrono>

#include "executor/sequence.h"
#include "support/itineraries.h"
#include "support/sequences.h"

namespace ttsrt::executor {
namespace {

// Frames whose sound is the caller's count from the first one on; those of text don't, nor do
// those that a codec follows.
TEST(StepLeads, AreOfSpeechThatNoCodecFollows) {
  step::Facts facts = test::small_facts();
  facts.frame_rate = 20.0;
  for (const bool is_speech : {true, false}) {
    facts.is_speech = is_speech;
    test::Sequencer at(facts);
    Sequence& sequence = at.add(test::small_request());
    const auto lead = [&] { return sequence.view().stops[2].lead; };
    EXPECT_EQ(lead(), is_speech ? StopView::kUnheard : StopView::kNobody);
    sequence.frames = 100;
    sequence.first_frame = Clock::now() - std::chrono::seconds(3);
    EXPECT_NEAR(lead(), is_speech ? 2.0 : StopView::kNobody, 0.5);
  }
  step::Facts sound = test::small_facts();
  sound.sample_rate = 40;
  test::Sequencer at(sound, test::sound_programs());
  const SequenceView view = at.start(test::sound_request(4, 0)).view();
  EXPECT_EQ(view.stops[1].lead, StopView::kNobody);
  EXPECT_EQ(view.stops[2].lead, StopView::kUnheard);
}

}  // namespace
}  // namespace ttsrt::executor
