// What becomes of the speech tokens of a request, as stops: a few that no token changes, and parts
// behind the tokens (step::Sequel). They are the same whether a request brings its tokens, or a
// model draws them in the same slot.
//
// "whole" is one part, once all tokens are there: noise, prompt, token encoder, as many evaluations
// as there are, and what becomes of the state. "chunks" is a part for each chunk of tokens, which
// integrates prompt and tokens up to three behind the chunk as if there were no others, and keeps
// the frames of the chunk. Boundaries are the request's and noise is a frame's, so the sound
// depends on tokens, voice, seed and boundaries alone, whenever tokens come. Attention sees a
// chunk's frames with fewer others behind them, so it is not the sound of "whole".
//
// Each round of a long text has its own sound, as if it were a request with the seed of the first
// plus its number.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "model/itineraries.h"
#include "model/limits.h"
#include "model/s3gen/config.h"
#include "step/itinerary.h"

namespace ttsrt::model::s3gen {

// Parts of a voice, in order; the first two are absent where it has no prompt.
enum VoicePart : std::size_t { kPromptTokens, kPromptFrames, kSpeaker, kNumParts };

// What all requests of a network have in common.
struct SoundSite {
  Config config;
  Defaults defaults;
  std::int32_t max_tokens = 0;     // of one integration, those of the prompt included
  std::int32_t max_frames = 0;     // the same, and of all that becomes sound
  std::int32_t first_program = 0;  // index of the first of append_programs()
  std::int32_t first_kept = 0;     // of the slot's kept rows, the first of an integration's state
};

// Throws ConfigError for options of a flow that sound of tokens has not.
void refuse_other_flows(const Flow& flow);

// What a request asks for.
struct SoundRequest {
  std::shared_ptr<const Voice> voice;
  std::uint64_t seed = 0;
  std::vector<float> times;  // of the integration [steps + 1]
  float guidance = 0.0F;
  bool has_audio = true;
  bool has_spectrogram = false;
  std::vector<std::int32_t> hops;                          // tokens of chunks; empty: "whole"
  std::int32_t history = -1;                               // tokens in front of a chunk; -1: all
  std::shared_ptr<const std::vector<float>> noise;         // of the integration; null: by the seed
  std::shared_ptr<const std::vector<std::int32_t>> codes;  // null: those that are drawn

  std::int32_t prompt_tokens() const { return voice->parts[kPromptTokens].rows; }
  std::int32_t prompt_frames() const { return voice->parts[kPromptFrames].rows; }
};

// Reads steps, guidance, chunks and what is wanted of a request; the rest is the caller's. Throws
// ConfigError naming the field.
SoundRequest read_sound(const Request& request, const SoundSite& site);

// How many tokens a request may have behind its voice's prompt, those of the silence not counted.
std::int32_t most_tokens(const SoundRequest& request, const SoundSite& site);

// Of the ids that a speech model drew, those that are sound: with guidance those between the first
// id `vocab`, which begins speech, and the first `vocab` + 1, which ends it; and of these, or of
// all, those below `vocab`. In chunks, the first ones have become sound before later ones are
// known: there the id that begins speech is dropped as others are.
std::vector<std::int32_t> sound_ids(const std::vector<std::int32_t>& drawn, const Config& config,
                                    bool in_chunks = false);

class Sound final : public step::Sequel {
 public:
  // Appends the stops that no token changes to those of an itinerary.
  Sound(std::shared_ptr<const SoundSite> site, SoundRequest&& request,
        std::vector<step::Stop>& stops);

  std::optional<std::vector<step::Stop>> stops(std::int32_t part, std::int32_t first_stop,
                                               const step::CodesSoFar& codes) const override;

 private:
  // Tokens that one part integrates, and of these, those whose frames it keeps.
  struct Stretch {
    std::uint64_t seed = 0;  // of its round
    std::int32_t first = 0;  // token behind the prompt
    std::int32_t last = 0;
    std::int32_t begin = 0;  // of those that are kept
    std::int32_t end = 0;
    bool is_last = true;
  };

  bool in_chunks() const { return !request_.hops.empty(); }
  std::int32_t boundary(std::int32_t chunk) const;
  std::int32_t count_parts(std::int32_t tokens) const;
  std::vector<std::int32_t> tokens_of(const std::int32_t* begin, const std::int32_t* end,
                                      bool are_all) const;
  std::optional<Stretch> chunk_of(std::int32_t part, std::int32_t tokens, bool are_all) const;
  std::vector<step::Stop> stops_of(const Stretch& stretch, const std::vector<std::int32_t>& tokens,
                                   std::int32_t first_stop) const;
  step::RowSource noise_of(const Stretch& stretch, std::int32_t frames) const;
  step::RowSource state_rows(std::vector<float>&& values, std::int32_t rows) const;
  void add_sound(const Stretch& stretch, std::int32_t first_stop, std::int32_t flow,
                 std::vector<step::Stop>& stops) const;

  const std::shared_ptr<const SoundSite> site_;
  const SoundRequest request_;
  std::int32_t set_up_ = 0;  // index of the first stop that no token changes
};

}  // namespace ttsrt::model::s3gen
