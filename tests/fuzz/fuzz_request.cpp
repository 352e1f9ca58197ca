// A request to an engine: it becomes an itinerary, or is refused with a ConfigError or a
// CapacityError.
#include "executor/request_check.h"
#include "executor/voices.h"
#include "fuzz/input.h"
#include "model/engine_data.h"
#include "model/servable.h"
#include "support/tiny_engine.h"
#include "ttsrt/error.h"

namespace {

using namespace ttsrt;

std::vector<std::int32_t> ids_of(fuzz::Input& input) {
  std::vector<std::int32_t> ids(input.byte() % 20);
  for (std::int32_t& id : ids)
    id = input.byte() % 4 != 0 ? input.byte() % 24 : input.take<std::int32_t>();
  return ids;
}

template <typename T>
Matrix<T> matrix_of(fuzz::Input& input) {
  Matrix<T> matrix;
  matrix.rows = input.byte() % 12;
  matrix.cols = input.byte() % 12;
  if (input.byte() == 255) matrix.cols = -1;
  const std::int64_t count = matrix.rows * matrix.cols + (input.byte() == 255 ? 1 : 0);
  for (std::int64_t i = 0; i < count; ++i)
    matrix.values.push_back(static_cast<T>(input.byte() % 16));
  if (!matrix.values.empty() && input.byte() == 255) matrix.values[0] = input.take<T>();
  return matrix;
}

AttentionPrior prior_of(fuzz::Input& input) {
  AttentionPrior prior;
  prior.mode = input.byte() % 2 == 0 ? "nemo" : "window";
  if (input.byte() % 8 == 0) prior.mode = "nemo_2503";
  prior.epsilon = input.take<float>();
  prior.lookahead = input.take<std::int32_t>();
  prior.left = input.byte();
  if (input.byte() % 8 == 0) prior.estimate_layers = ids_of(input);
  if (input.byte() % 8 == 0) prior.apply_layers = ids_of(input);
  for (auto* option : {&prior.right, &prior.start_step, &prior.skip_after, &prior.suppress_after,
                       &prior.short_text, &prior.end_margin, &prior.unfinished_grace,
                       &prior.force_after, &prior.end_after}) {
    if (input.byte() % 8 == 0) *option = input.take<std::int32_t>();
  }
  for (auto* option : {&prior.count_end, &prior.track_finish, &prior.recompute}) {
    if (input.byte() % 8 == 0) *option = input.byte() % 2 == 0;
  }
  if (input.byte() % 8 == 0) prior.suppress = input.byte() % 2 == 0 ? "upto" : "single";
  return prior;
}

MaskGit maskgit_of(fuzz::Input& input) {
  MaskGit maskgit;
  maskgit.steps = input.take<std::int32_t>();
  maskgit.noise_scale = input.take<float>();
  if (input.byte() % 4 == 0) maskgit.schedule = ids_of(input);
  maskgit.dynamic_cfg_scale = input.byte() % 2 == 0;
  if (input.byte() % 4 == 0) maskgit.sampling = "purity_causal";
  if (input.byte() % 4 == 0) maskgit.confidence_temperature = input.take<float>();
  return maskgit;
}

// Fields that came later have numbers of their own, so that kept inputs mean what they meant.
void read_later_field(Request& request, fuzz::Input& input) {
  switch (input.byte() % 10) {
    case 0:
      request.top_p = input.take<float>();
      break;
    case 1:
      request.min_p = input.take<float>();
      break;
    case 2:
      request.repetition_penalty = input.take<float>();
      break;
    case 3:
      request.seed = input.take<std::uint64_t>();
      break;
    case 4:
      request.strict_end = true;
      break;
    case 5:
      request.use_local_transformer = input.byte() % 2 == 0;
      break;
    case 6:
      request.maskgit = maskgit_of(input);
      break;
    case 7:
      request.forced_codes = matrix_of<std::int32_t>(input);
      break;
    case 8:
      request.return_alignment = true;
      break;
    default:
      request.priority = input.take<std::int32_t>();
  }
}

void read_field(Request& request, fuzz::Input& input) {
  const std::uint8_t field = input.byte();
  if (field >= 128) return read_later_field(request, input);
  switch (field % 16) {
    case 0:
      request.text_ids = ids_of(input);
      break;
    case 1:
      request.text_features = matrix_of<float>(input);
      break;
    case 2:
      request.encoder_output = matrix_of<float>(input);
      break;
    case 3:
      request.voice = input.take<std::int32_t>();
      break;
    case 4:
      request.voice = std::string(input.byte(), 'a');
      break;
    case 5:
      request.context_codes = matrix_of<std::int32_t>(input);
      break;
    case 6:
      request.context_embeddings = matrix_of<float>(input);
      break;
    case 7:
      request.context_text_ids = ids_of(input);
      break;
    case 8:
      request.cfg_scale = input.take<float>();
      break;
    case 9:
      request.temperature = input.take<float>();
      break;
    case 10:
      request.top_k = input.take<std::int32_t>();
      break;
    case 11:
      request.max_frames = input.take<std::int32_t>();
      break;
    case 12:
      request.min_frames = input.take<std::int32_t>();
      break;
    case 13:
      request.eos_method = std::string(input.byte(), 'e');
      break;
    case 14:
      request.use_default_prior = false;
      request.prior = prior_of(input);
      break;
    default:
      request.chunk_frames = input.take<std::int32_t>();
      request.deadline = input.take<double>();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const test::TinyEngine engine;
  static const EngineData opened(engine.path());
  static const auto itineraries =
      model::itineraries_of(*opened.family, opened.limits, &opened.weights, "engine.json");
  static const executor::VoiceBook voices(*itineraries, opened.voices);
  fuzz::Input input(data, size);
  Request request;
  const std::uint8_t first = input.byte();
  if (first % 4 != 0) {
    request.text_ids = {1, 2, 3};
    request.voice = 0;
  }
  if (first >= 224) request.text_chunks = ids_of(input);
  while (!input.is_empty()) read_field(request, input);
  try {
    executor::prepare(std::move(request), *itineraries, voices);
  } catch (const ConfigError&) {
  } catch (const CapacityError&) {
  }
  return 0;
}
