// One kind of model (magpie, t3, llm, ...). A family is chosen by name before anything of the model
// is read (model/registry.h); it holds the model's configuration and defaults. Packing, loading,
// networks and the executor ask it and never ask which one it is.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/itineraries.h"
#include "model/limits.h"
#include "model/manifest.h"
#include "model/weights.h"
#include "ops/backend.h"
#include "step/facts.h"
#include "step/itinerary.h"
#include "ttsrt/engine.h"
#include "ttsrt/tensor.h"

namespace ttsrt::model {

// What an executor asks for beyond the limits.
struct StateOptions {
  DType cache_dtype = DType::float32;
  std::int32_t cache_positions = 0;  // of the paged cache; 0: every slot's worst case
};

// A Program as a family writes it.
struct FamilyProgram {
  std::string name;  // "prefill"
  step::Pace pace = step::Pace::whole;
  ops::Program program;
  std::int32_t max_rows = 0;   // of one launch
  std::int32_t max_draws = 0;  // 0: it picks nothing
  step::Emits emits = step::Emits::nothing;
  std::int32_t max_segments = 0;  // of one launch; 0: as many as rows
};

// The ids of a text.
struct TextFacts {
  std::int32_t vocab = 0;            // rows of the table
  std::int32_t num_tokens = 0;       // of them, those that the tokenizer has
  std::int32_t position_table = -1;  // that rows of ids add; -1: none
};

class Family {
 public:
  virtual ~Family() = default;

  // Every tensor of the model. Sizes that only the file knows are kAnySize.
  virtual Manifest manifest() const = 0;
  // Of a model whose manifest has all its sizes.
  virtual LimitBounds limit_bounds(const Manifest& stored) const = 0;
  // What callers must know of the model to shape their requests: the fields of EngineInfo that are
  // about the model.
  virtual void describe(EngineInfo& info) const = 0;
  // Throws FormatError for voices that don't fit the model.
  virtual StoredVoices read_voices(const Weights& weights) const = 0;

  // What the executor knows of a network with these limits.
  virtual step::Facts facts(const Limits& limits) const = 0;
  // How requests to a network with these limits become itineraries, whose stops name Programs by
  // their index in programs(). Throws ConfigError for defaults that no request could be served
  // with. `weights`, which outlive the result, are read while requests and voices come; they may be
  // null where none will.
  virtual std::unique_ptr<Itineraries> itineraries(const Limits& limits,
                                                   const Weights* weights) const = 0;
  // What a backend keeps per slot.
  virtual ops::StateSpec state(const Limits& limits, const StateOptions& options) const = 0;
  // In the order in which the Programs of one launch run. `trace`: with taps.
  virtual std::vector<FamilyProgram> programs(const Weights& weights, const Limits& limits,
                                              bool trace) const = 0;
  // Of a model whose steps draw one id of a text each, so that one launch may check drafts of
  // several.
  virtual std::optional<TextFacts> text_facts() const { return std::nullopt; }
  // A model of another family that may become a part of it, which makes sound of its codes.
  struct Component {
    const char* family = nullptr;  // null: there is none
    const char* model = nullptr;   // member of "model" that describes it
    const char* prefix = nullptr;  // of its tensors
  };
  virtual Component component() const { return {}; }
};

// The facts that every family has: its name, its frames per second, and the limits.
step::Facts facts_within(const Limits& limits, const char* family, double frame_rate);

}  // namespace ttsrt::model
