#include "executor/voices.h"

#include <cmath>

#include "core/check.h"

namespace ttsrt::executor {

VoiceBook::VoiceBook(const step::ModelFacts& facts) : facts_(facts) {
  for (const auto& [name, index] : facts.speakers)
    by_name_[name] = facts.voices[static_cast<std::size_t>(index)];
}

std::string VoiceBook::known() const {
  std::string names;
  for (const auto& [name, rows] : by_name_) {
    if (names.size() > 200) return names + ", ...";
    names += names.empty() ? name : ", " + name;
  }
  return names.empty() ? "none by name" : names;
}

VoiceRows VoiceBook::find(const VoiceRef& voice) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (const auto* index = std::get_if<std::int32_t>(&voice)) {
    const auto count = static_cast<std::int32_t>(facts_.voices.size());
    TTSRT_CHECK(
        ConfigError, count > 0,
        "voice: this model stores no voices; add one, or give context_codes or context_embeddings");
    TTSRT_CHECK(ConfigError, *index >= 0 && *index < count, "voice: expected an index in [0, ",
                count - 1, "], got ", *index);
    return facts_.voices[static_cast<std::size_t>(*index)];
  }
  const auto found = by_name_.find(std::get<std::string>(voice));
  TTSRT_CHECK(ConfigError, found != by_name_.end(), "voice: expected one of: ", known(), "; got \"",
              std::get<std::string>(voice), "\"");
  return found->second;
}

void VoiceBook::add(const std::string& name, Matrix<float> embeddings) {
  TTSRT_CHECK(ConfigError, !name.empty() && name.size() <= 256,
              "add_voice: name: expected 1 to 256 bytes, got ", name.size());
  TTSRT_CHECK(ConfigError, facts_.context_route != step::ContextRoute::memory,
              "add_voice: this model takes no context rows");
  const bool fits =
      embeddings.cols == facts_.dim && embeddings.rows >= 1 &&
      embeddings.rows <= facts_.max_input_len &&
      static_cast<std::int64_t>(embeddings.values.size()) == embeddings.rows * embeddings.cols;
  TTSRT_CHECK(ConfigError, fits, "add_voice: embeddings: expected [1 to ", facts_.max_input_len,
              ", ", facts_.dim, "], got [", embeddings.rows, ", ", embeddings.cols, "]");
  for (const float value : embeddings.values) {
    TTSRT_CHECK(ConfigError, std::isfinite(value),
                "add_voice: embeddings: expected finite numbers, got ", value);
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  const bool is_new =
      by_name_
          .emplace(name, std::make_shared<const std::vector<float>>(std::move(embeddings.values)))
          .second;
  TTSRT_CHECK(ConfigError, is_new, "add_voice: \"", name, "\" is in use; remove it first");
}

void VoiceBook::remove(const std::string& name) {
  const std::lock_guard<std::mutex> lock(mutex_);
  TTSRT_CHECK(ConfigError, by_name_.erase(name) == 1, "remove_voice: expected one of: ", known(),
              "; got \"", name, "\"");
}

std::vector<std::string> VoiceBook::names() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, rows] : by_name_) names.push_back(name);
  return names;
}

}  // namespace ttsrt::executor
